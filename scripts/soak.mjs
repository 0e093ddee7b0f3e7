// Mixed load on `llm-client serve` for a while: whole replies, streams, aborts, overflows, slow readers, clients
// that vanish, models that come and go, and an Ollama that dies and returns.
//   node scripts/soak.mjs [--minutes N]     120 unless told; `npm run build` must have run
// It fails on a stuck request, an untyped error, a lost token, an open file too many, or memory that grows.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { root } from "./native/tools.mjs";

const PROMPTS = ["What is 7 + 5?", "Name a river.", "Which city is the capital of France?"];
const MODELS = ["demo", "soak/one", "soak/two"];
const STREAMS_OF_MLX = 6;
const STREAMS_OF_OLLAMA = 64;
const LONGEST_REQUEST = 120_000;
const OLLAMA_LIVES = 4000;
const OLLAMA_RESTS = 1500;
/** What memory may grow by during the second half, at least; allocators and V8 take that much at times. */
const NOISE_BYTES = 24e6;
const WORDS = ["The", " answer", " is", " 12", ", and", " that", " is", " all", "."];

const OLLAMA = {
  "/api/version": (response) => response.end('{"version":"0.17.4"}'),
  "/api/tags": (response) => response.end('{"models":[{"name":"m:latest","model":"m:latest"}]}'),
  "/api/show": (response) =>
    response.end('{"capabilities":["completion"],"model_info":{},"details":{}}'),
  "/api/chat": async (response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    const say = (fields) => response.write(`${JSON.stringify({ model: "m", ...fields })}\n`);
    for (const content of WORDS) {
      say({ message: { role: "assistant", content }, done: false });
      await sleep(below(60));
      if (response.destroyed) return;
    }
    const end = { done: true, done_reason: "stop", prompt_eval_count: 3, eval_count: WORDS.length };
    say({ message: { role: "assistant", content: "" }, ...end });
    response.end();
  },
};

const { values } = parseArgs({ options: { minutes: { type: "string", default: "120" } } });
const endsAt = Date.now() + Number(values.minutes) * 60_000;
const folder = mkdtempSync(join(tmpdir(), "soak-"));
const problems = [];
const counts = new Map();

const ollama = new URL("http://127.0.0.1:0");
let ollamaServer = await startOllama();
const servers = [
  await startServe(["-p", "mlx", "-m", "demo"]),
  await startServe(["-p", "ollama", "-u", ollama.origin, "-m", "m"]),
];
const [mlx, remote] = servers;
try {
  await soak();
} finally {
  for (const { child } of servers) child.kill("SIGKILL");
  ollamaServer.closeAllConnections();
  ollamaServer.close();
  rmSync(folder, { recursive: true, force: true });
}
for (const [name, count] of [...counts].sort()) console.log(`${name}: ${count}`);
for (const problem of problems.slice(0, 20)) console.log(`PROBLEM: ${problem}`);
console.log(problems.length === 0 ? "soak: ok" : `soak: ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);

async function soak() {
  const expected = await Promise.all(PROMPTS.map((prompt) => whole(prompt)));
  const before = servers.map(({ child }) => openFiles(child));
  const load = [
    ...Array.from({ length: STREAMS_OF_MLX }, () => repeat(() => oneOfMlx(expected))),
    ...Array.from({ length: STREAMS_OF_OLLAMA }, () => repeat(oneOfOllama)),
  ];
  const watching = servers.map(watchMemory);
  const restarting = restartOllama();
  await Promise.all([...load, restarting]);
  await Promise.all(watching);
  for (const [index, server] of servers.entries()) await checkRest(server, before[index]);
}

async function repeat(act) {
  while (Date.now() < endsAt) {
    const name = await act().catch((error) => {
      problems.push(`${error.stack ?? error} ${error.cause ?? ""}`.slice(0, 600));
      return "failed";
    });
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (problems.length > 100) return;
  }
}

async function oneOfMlx(expected) {
  const at = below(PROMPTS.length);
  const act = [
    async () => {
      same(await whole(PROMPTS[at], pick(MODELS)), expected[at], "a whole reply");
      return "mlx: whole";
    },
    async () => {
      same(await streamed(PROMPTS[at], pick(MODELS)), expected[at], "a stream");
      return "mlx: stream";
    },
    async () => {
      same(await streamed(PROMPTS[at], "demo", { pause: 300 }), expected[at], "a slow reader");
      return "mlx: slow reader";
    },
    async () => {
      await streamed("Tell a story.", pick(MODELS), { leaveAfter: 1 + below(20) });
      return "mlx: aborted";
    },
    () => vanish(mlx, JSON.stringify(chat("demo", "Tell a story.", { stream: true }))),
    async () => {
      const { status, text } = await post(mlx, chat("demo", "river ".repeat(5000)));
      if (status !== 400 || !text.includes("context_length_exceeded")) {
        throw new Error(`an overflow gave ${status}: ${text}`);
      }
      return "mlx: overflow";
    },
    async () => {
      const body = { model: pick(MODELS), prompt: "", keep_alive: 0 };
      const { status, text } = await post(mlx, body, "/api/generate");
      if (status !== 200) throw new Error(`an unload gave ${status}: ${text}`);
      return "mlx: unloaded";
    },
  ];
  return pick(act)();
}

/** It may have died: then the reply ends with an error that says so. */
async function oneOfOllama() {
  const controller = new AbortController();
  const leaves = below(10) === 0;
  if (leaves) setTimeout(() => controller.abort(), below(200));
  try {
    const response = await ask(remote, chat("m", "Hi", { stream: true }), {
      signal: controller.signal,
    });
    const { text, error, usage } = await readStream(response, {});
    if (error === undefined) {
      same(
        { text, tokens: usage?.completion_tokens },
        { text: WORDS.join(""), tokens: 9 },
        "Ollama",
      );
      return "ollama: whole";
    }
    if (typeof error.code !== "string" || error.code === "internal") {
      throw new Error(`an error without a code: ${JSON.stringify(error)}`);
    }
    return `ollama: ${error.code}`;
  } catch (error) {
    if (leaves && error.name === "AbortError") return "ollama: aborted";
    throw error;
  }
}

async function whole(prompt, model = "demo") {
  const { status, text } = await post(mlx, chat(model, prompt));
  if (status !== 200) throw new Error(`${model} gave ${status}: ${text}`);
  const { choices, usage } = JSON.parse(text);
  return { text: choices[0].message.content, tokens: usage.completion_tokens };
}

async function streamed(prompt, model, manner = {}) {
  const response = await ask(mlx, chat(model, prompt, { stream: true }));
  const { text, usage, error } = await readStream(response, manner);
  if (error) throw new Error(`${model}: ${JSON.stringify(error)}`);
  return { text, tokens: usage?.completion_tokens };
}

/** The text of a stream, and how it ended. */
async function readStream(response, { pause = 0, leaveAfter = Infinity }) {
  if (response.status !== 200) return { error: (await response.json()).error };
  const read = { text: "", usage: undefined, error: undefined };
  let rest = "";
  let events = 0;
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = `${rest}${bytes}`.split("\n");
    rest = lines.pop();
    for (const line of lines.filter((each) => each.startsWith("data: {"))) {
      const { choices = [], usage, error } = JSON.parse(line.slice(6));
      read.text += choices[0]?.delta?.content ?? "";
      read.usage ??= usage ?? undefined;
      read.error ??= error;
      if (++events >= leaveAfter) return read;
    }
    if (pause > 0) await sleep(pause);
  }
  return read;
}

function chat(model, content, fields = {}) {
  const options = { temperature: 0, max_tokens: 24, ...fields };
  if (options.stream) options.stream_options = { include_usage: true };
  return { model, messages: [{ role: "user", content }], ...options };
}

function ask({ url }, body, { path = "/v1/chat/completions", signal } = {}) {
  const patience = AbortSignal.timeout(LONGEST_REQUEST);
  const signals = signal ? AbortSignal.any([signal, patience]) : patience;
  return fetch(url + path, { method: "POST", body: JSON.stringify(body), signal: signals });
}

async function post(server, body, path) {
  const response = await ask(server, body, { path });
  return { status: response.status, text: await response.text() };
}

/** A client whose connection is reset somewhere in its request or in the reply. */
async function vanish({ url }, body) {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1").on("error", () => {});
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n`;
  socket.write((head + body).slice(0, 100 + below(head.length + body.length)));
  await sleep(below(300));
  socket.resetAndDestroy();
  return "mlx: vanished";
}

function same(said, expected, what) {
  const [one, other] = [said, expected].map((value) => JSON.stringify(value));
  if (one !== other) throw new Error(`${what} is ${one}, and not ${other}`);
}

async function startServe(flags) {
  const models = join(folder, "cache", "llm-client", "models", "soak");
  if (flags.includes("mlx")) {
    mkdirSync(models, { recursive: true });
    for (const name of ["one", "two"]) {
      cpSync(join(root, "models", "demo"), join(models, name), { recursive: true });
    }
  }
  const main = join(root, "dist", "cli", "main.js");
  const command = [main, "serve", "--port", "0", "--json", "--max-queued", "200", ...flags];
  const child = spawn(process.execPath, command, {
    cwd: folder,
    env: {
      ...process.env,
      XDG_CACHE_HOME: join(folder, "cache"),
      HOME: folder,
      LLM_CLIENT_MAX_RETRIES: "0",
    },
    stdio: ["ignore", "pipe", "ignore"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    return { name: flags[1], child, url: JSON.parse(line).url };
  }
  throw new Error("llm-client serve did not begin");
}

function startOllama() {
  const server = createServer((request, response) => {
    request.resume();
    const reply = OLLAMA[request.url] ?? (() => response.writeHead(404).end());
    reply(response);
  });
  server.listen(Number(ollama.port) || 0, "127.0.0.1");
  return once(server, "listening").then(() => {
    ollama.port = String(server.address().port);
    return server;
  });
}

async function restartOllama() {
  while (Date.now() < endsAt) {
    await sleep(OLLAMA_LIVES);
    ollamaServer.closeAllConnections();
    ollamaServer.close();
    await sleep(OLLAMA_RESTS);
    ollamaServer = await startOllama();
  }
}

/** Resident memory in the second half may not grow beyond what it varies by. */
async function watchMemory({ name, child }) {
  const samples = [];
  const from = Date.now() + (endsAt - Date.now()) / 2;
  for (; Date.now() < endsAt; await sleep(500)) {
    if (Date.now() >= from) samples.push([(Date.now() - from) / 1000, residentBytes(child)]);
  }
  const { slope, deviation } = line(samples);
  const growth = slope * (samples.at(-1)[0] - samples[0][0]);
  const told = [slope / 1e3, growth / 1e6, deviation / 1e6].map((value) => value.toFixed(1));
  console.log(
    `${name}: ${(samples.at(-1)[1] / 1e6).toFixed(0)} MB, ${told[0]} kB/s, ${told[1]} MB in all, ±${told[2]} MB`,
  );
  if (growth > Math.max(NOISE_BYTES, 3 * deviation)) {
    problems.push(`the memory of ${name} grew by ${told[1]} MB`);
  }
}

/** The straight line through points, and how far they are from it. */
function line(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [0, 1].map((axis) => mean(points.map((point) => point[axis])));
  const covariance = mean(points.map((point) => (point[0] - x) * (point[1] - y)));
  const slope = covariance / mean(points.map((point) => (point[0] - x) ** 2));
  const residues = points.map((point) => (point[1] - y - slope * (point[0] - x)) ** 2);
  return { slope, deviation: Math.sqrt(mean(residues)) };
}

/** After the load nothing is under way, no file is left open, and the server ends when it is told. */
async function checkRest(server, filesBefore) {
  const { name, url, child } = server;
  for (let waited = 0; waited < 20_000; waited += 200) {
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const busy = [...metrics.matchAll(/^\w*(?:running|queued)\w*(?:\{[^}]*\})? (\d+)$/gm)];
    const files = openFiles(child);
    if (busy.every(([, count]) => count === "0") && files <= filesBefore + 12) break;
    if (waited >= 19_000)
      problems.push(`${name} rests with ${busy.map(String)} and ${files} files`);
    await sleep(200);
  }
  child.kill("SIGTERM");
  const [code] = await Promise.race([once(child, "exit"), sleep(40_000, ["never"])]);
  if (code !== 0) problems.push(`${name} ended with ${code}`);
}

function residentBytes({ pid }) {
  return Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]) * 4096;
}

function openFiles({ pid }) {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function pick(list) {
  return list[below(list.length)];
}

function below(number) {
  return Math.floor(Math.random() * number);
}
