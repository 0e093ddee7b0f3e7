// npm run bench:http: how LLMClient compares with the npm clients ollama and openai on the same
// server, in one run, and how long the command takes to start.
//   --only streams,memory   measures only these: requests-1, requests-64, streams, steady,
//                           first-token, memory, start
//   --pairs 5               measurements of each side
//   --json                  prints the figures as JSON
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { root, say } from "../../scripts/native/tools.mjs";
import { alternate, compared } from "../pairs.mjs";
import { print } from "../tables.mjs";

const run = promisify(execFile);
const more = (ours, theirs) => ours / theirs;
const less = (ours, theirs) => theirs / ours;

/** What is measured with each client, what of it counts, and what it should be. */
const measurements = {
  "requests-1": { title: "requests/s, one at a time", figure: "perSecond", goal: "≥ 1.0" },
  "requests-64": { title: "requests/s, 64 at a time", figure: "perSecond", goal: "≥ 1.0" },
  streams: { title: "tokens/s, 1,000 streams", figure: "perSecond", goal: "≥ 1.5" },
  steady: { title: "tokens per CPU s, 1,000 streams", figure: "perCpuSecond", goal: "≥ 1.5" },
  "first-token": { title: "µs added to the first token", figure: "added", less, scale: 1000 },
  memory: { title: "KiB for an open stream", figure: "resident", less },
};
const known = [...Object.keys(measurements), "start"];

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: known.join(",") },
    pairs: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});

/** Server and client each on a core of their own, where the system can do that. */
const cores =
  process.platform === "linux" && availableParallelism() > 1 && existsSync("/usr/bin/taskset");
const onCore = (core, args) =>
  cores ? ["taskset", ["-c", String(core), process.execPath, ...args]] : [process.execPath, args];

async function startServer() {
  const [command, args] = onCore(0, [join(root, "bench/http/server.mjs")]);
  const server = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const url = await new Promise((resolve, reject) => {
    server.stdout.once("data", (line) => resolve(String(line).trim()));
    server.once("exit", () => reject(new Error("The server of the benchmark did not start.")));
  });
  return { url, close: () => server.stdin.end() };
}

async function measure(client, measurement, url) {
  const script = join(root, "bench/http/client-process.mjs");
  const [command, args] = onCore(1, ["--expose-gc", script, client, measurement, url]);
  return JSON.parse((await run(command, args)).stdout);
}

async function compareClients(name, url, pairs) {
  const { title, figure, goal = "≥ 1.0", less: isLess, scale = 1 } = measurements[name];
  const rows = [];
  for (const peer of ["ollama", "openai"]) {
    const of = (client) => async () => scale * (await measure(client, name, url))[figure];
    const samples = await alternate(pairs, of(`ours-${peer}`), of(peer));
    rows.push(compared(peer, samples, isLess ?? more, goal));
    say(`bench: ${name}, ${peer} ${rows.at(-1).comparison.median.toFixed(2)}`);
  }
  const comparison = isLess ? "npm / ours" : "ours / npm";
  return { title, other: "npm", comparison, digits: 0, rows };
}

/** The command, against a Node that does nothing. */
async function compareStarts(url, pairs) {
  const main = join(root, "dist/cli/main.js");
  const env = { ...process.env, OLLAMA_BASE_URL: url, LMSTUDIO_BASE_URL: url };
  const timed = (args) => async () => {
    const start = performance.now();
    await run(process.execPath, args, { env });
    return performance.now() - start;
  };
  const rows = [];
  for (const [args, goal] of [
    [["--version"], "≤ 1.5"],
    [["models"], "≤ 3.0"],
  ]) {
    const samples = await alternate(pairs * 3, timed([main, ...args]), timed(["-e", "0"]));
    rows.push(compared(`llm-client ${args}`, samples, more, goal));
    say(`bench: ${args} ${rows.at(-1).comparison.median.toFixed(2)}`);
  }
  return {
    title: "whole command, ms",
    other: "node -e 0",
    comparison: "ours / node",
    digits: 0,
    rows,
  };
}

async function bench() {
  const parts = options.only.split(",");
  const unknown = parts.filter((part) => !known.includes(part));
  if (unknown.length > 0) throw new Error(`--only ${unknown}: known are ${known.join(", ")}`);
  const pairs = Number(options.pairs);
  if (!(pairs >= 1)) throw new Error("--pairs takes a number from 1");
  if (!existsSync(join(root, "dist/index.js"))) throw new Error("dist/ is missing: npm run build");

  const server = await startServer();
  const tables = [];
  try {
    for (const part of parts) {
      const compare = part === "start" ? compareStarts : compareClients.bind(undefined, part);
      tables.push(await compare(server.url, pairs));
    }
  } finally {
    server.close();
  }
  if (options.json) return console.log(JSON.stringify({ pairs, tables }, null, 2));
  console.log(`Node ${process.version}, medians of ${pairs} alternating pairs`);
  for (const table of tables) print(table);
}

try {
  await bench();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
