import { Agent } from "node:http";
import { type FakeLmStudio, startFakeLmStudio } from "./fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "./fake-ollama.js";
import { FAULTS, FAULT_NAMES, type FaultName, type FaultSettings, type Stage } from "./faults.js";
import { closedPort, startSilentServer } from "./ports.js";
import { type Outcome, sendRaw } from "./raw-client.js";

const messages = [{ role: "user", content: "hi" }];
const fakes = {
  ollama: {
    start: () => startFakeOllama(),
    path: "/api/chat",
    body: { model: "tiny", messages },
  },
  lmstudio: {
    start: () => startFakeLmStudio({ loaded: ["tiny-chat"] }),
    path: "/v1/chat/completions",
    body: { model: "tiny-chat", messages, stream: true, stream_options: { include_usage: true } },
  },
};

describe.each(Object.entries(fakes))("the faults of a fake %s", (kind, { start, path, body }) => {
  let fake: FakeOllama | FakeLmStudio;
  let healthy: Outcome;

  beforeAll(async () => {
    fake = await start();
    healthy = await send();
  });
  afterEach(() => fake.clearFaults());
  afterAll(() => fake.close());

  function send(silenceMs = 5000, agent?: Agent): Promise<Outcome> {
    return sendRaw(`${fake.url}${path}`, { body, silenceMs, agent });
  }

  async function under(name: FaultName, settings: FaultSettings = {}, silenceMs?: number) {
    fake.fault(name, settings);
    return await send(silenceMs);
  }

  /** The words that came, whatever is around them. */
  const words = ({ text }: Outcome) =>
    [...text.matchAll(/"content":"([^"]*)"/g)].map((match) => match[1]).join("");

  test("leave a healthy reply alone", () => {
    expect(healthy).toMatchObject({ status: 200, ending: "end" });
    expect(words(healthy)).toBe("Hello from a fake.");
  });

  test.each<[FaultName, Stage, number | undefined, string, string]>([
    ["reset", "connect", undefined, "", "ECONNRESET"],
    ["reset", "load", undefined, "", "ECONNRESET"],
    ["reset", "first-content", 200, "", "ECONNRESET"],
    ["reset", "mid-stream", 200, "Hello", "ECONNRESET"],
    ["reset", "end", 200, "Hello from a fake.", "ECONNRESET"],
    ["cut", "connect", undefined, "", "ECONNRESET"],
    ["cut", "first-content", 200, "", "ECONNRESET"],
    ["cut", "mid-stream", 200, "Hello", "ECONNRESET"],
    ["cut", "end", 200, "Hello from a fake.", "ECONNRESET"],
    ["eof", "first-content", 200, "", "end"],
    ["eof", "mid-stream", 200, "Hello", "end"],
    ["eof", "end", 200, "Hello from a fake.", "end"],
    ["silence", "connect", undefined, "", "silence"],
    ["silence", "load", undefined, "", "silence"],
    ["silence", "first-content", 200, "", "silence"],
    ["silence", "mid-stream", 200, "Hello", "silence"],
    ["silence", "end", 200, "Hello from a fake.", "silence"],
    ["error-event", "first-content", 200, "", "end"],
    ["error-event", "mid-stream", 200, "Hello", "end"],
    ["error-event", "end", 200, "Hello from a fake.", "end"],
    ["endless-line", "mid-stream", 200, "Hello", "too long"],
  ])("%s at %s: status %s, the words '%s', and %s", async (name, at, status, text, ending) => {
    const outcome = await under(name, { at, times: 1 }, ending === "silence" ? 250 : 5000);
    expect([outcome.status, words(outcome), outcome.ending]).toEqual([status, text, ending]);
    expect(words(await send())).toBe("Hello from a fake.");
  });

  test("report an error in the words of that server", async () => {
    const { text } = await under("error-event", { message: "oh no" });
    const line = '{"error":"oh no"}\n';
    const event = 'event: error\ndata: {"error":{"message":"oh no"},"message":"oh no"}\n\n';
    expect(text.endsWith(kind === "ollama" ? line : event)).toBe(true);
  });

  test.each<[FaultName, RegExp, RegExp]>([
    ["zero-deltas", /^(data: \[DONE\]\n\n)?$/, /content/],
    ["empty-finish", /"done":true|"finish_reason":"stop"/, /Hello/],
    ["done-without-finish", /Hello/, /"done":true|"finish_reason":"stop"/],
    ["finish-without-done", /"done":true|"finish_reason":"stop"/, /\[DONE\]/],
    ["no-usage", /"done":true|"finish_reason":"stop"/, /"usage"|eval_count/],
    ["other-model", /"model":"another-model"/, /"model":"tiny/],
    ["garbage", /oops/, /never/],
    ["crlf", /Hello[^\n]*\r\n/, /[^\r]\n/],
    ["bom", /^\uFEFF/, /never/],
    ["comments", /^(: keepalive\n)?\n/, /never/],
  ])("%s changes what the stream says", async (name, has, lacks) => {
    const { text, ending } = await under(name);
    expect(ending).toBe("end");
    expect(text).toMatch(has);
    expect(text).not.toMatch(lacks);
  });

  test.each<[FaultName, string[]]>([
    ["tool-index-zero", ["0"]],
    ["tool-ids-missing", ["0", "1"]],
  ])("%s changes tool calls", async (name, indices) => {
    const call = { name: "add", arguments: { a: 1 } };
    fake.replies.once({ toolCalls: [call, call] });
    const tools = kind === "ollama" ? { model: "tiny-tools" } : {};
    fake.fault(name);
    const { text } = await sendRaw(`${fake.url}${path}`, { body: { ...body, ...tools } });
    const calls = text.match(/"tool_calls":\[.*?\}\]/g)!.join("");
    const said = [...calls.matchAll(/"index":(\d)/g)].map((match) => match[1]!);
    expect([...new Set(said)]).toEqual(indices);
    expect(calls.includes('"id"')).toBe(name === "tool-index-zero");
  });

  test("split every byte without changing the text", async () => {
    fake.replies.once({ text: ["Gr\u00FC\u00DFe \u{1F426}"] });
    expect(words(await under("split-bytes"))).toBe("Gr\u00FC\u00DFe \u{1F426}");
  });

  test.each<[FaultName, number]>([
    ["delayed-headers", 80],
    ["pause", 80],
    ["slow-drip", 5 * 20],
  ])("%s takes its time, and all comes", async (name, least) => {
    const started = Date.now();
    const outcome = await under(name, { ms: name === "slow-drip" ? 20 : 80 });
    expect(Date.now() - started).toBeGreaterThanOrEqual(least - 5);
    expect(words(outcome)).toBe("Hello from a fake.");
  });

  test("meet requests in their order, one at a time", async () => {
    fake.fault("unavailable", { times: 2 }).fault("rate-limited", { times: 1 });
    const statuses: unknown[] = [];
    for (let count = 0; count < 4; count++) statuses.push((await send()).status);
    expect(statuses).toEqual([503, 503, 429, 200]);
  });

  test("spare what is no chat, unless told", async () => {
    const list = `${fake.url}${kind === "ollama" ? "/api/tags" : "/v1/models"}`;
    fake.fault("server-error");
    expect((await sendRaw(list)).status).toBe(200);
    await fake.clearFaults();
    fake.fault("server-error", { on: "everything" });
    expect((await sendRaw(list)).status).toBe(500);
  });

  test("strike before anything is read, where all requests are meant", async () => {
    const count = fake.requests.length;
    const outcome = await under("reset", { at: "connect", on: "everything", times: 1 });
    expect([outcome.ending, fake.requests.length]).toEqual(["ECONNRESET", count]);
  });

  test("refuse connections until they are cleared", async () => {
    expect((await under("connection-refused")).ending).toBe("ECONNREFUSED");
    await fake.clearFaults();
    expect((await send()).status).toBe(200);
  });

  test("kill a connection that is used again", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    fake.fault("reused-socket-dies");
    const endings: string[] = [];
    for (let count = 0; count < 3; count++) endings.push((await send(5000, agent)).ending);
    expect(endings).toEqual(["end", "ECONNRESET", "end"]);
    agent.destroy();
  });

  test("close an idle connection earlier than promised", async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    fake.fault("keep-alive-closed", { ms: 30 });
    const { headers } = await send(5000, agent);
    expect(headers["keep-alive"]).toBe("timeout=5");
    const [socket] = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);
    await new Promise((resolve) => socket!.once("close", resolve));
    agent.destroy();
  });

  test("count a client that leaves", async () => {
    const before = fake.disconnects;
    await under("silence", { at: "mid-stream" }, 50);
    await fake.disconnectCount(before + 1);
    expect(fake.requests.at(-1)?.disconnected).toBe(true);
  });

  test("do not count a connection that the server broke", async () => {
    const before = fake.disconnects;
    for (const name of ["cut", "reset"] as const) await under(name, { times: 1 });
    await send();
    expect(fake.disconnects).toBe(before);
  });

  // A fault must be seen: whatever it does, the reply is not the healthy one.
  const faults = FAULT_NAMES.filter((name) => Object.hasOwn(FAULTS[name], "change"));
  const events = ["finish-without-done", "done-without-finish", "cr", "no-space", "late-usage"];
  const quiet = [
    "tool-index-zero",
    "tool-ids-missing",
    "slow-drip",
    "split-bytes",
    "late-usage",
    ...(kind === "ollama" ? events : []),
  ];
  test.each(faults.filter((name) => !quiet.includes(name)))("%s can be seen", async (name) => {
    const outcome = await under(name, { headers: { "x-fault": "yes" } });
    const steady = ({ status, headers, text }: Outcome) => ({
      status,
      kept: headers["keep-alive"],
      added: headers["x-fault"],
      text: text.replace(/"(id|created_at)":"[^"]*"|"created":\d+/g, ""),
    });
    const alike = kind === "lmstudio" && name === "keep-alive-closed";
    if (alike) expect(steady(outcome)).toEqual(steady(healthy));
    else expect(steady(outcome)).not.toEqual(steady(healthy));
  });
});

test("a fault says where it cannot strike", async () => {
  const fake = await startFakeOllama();
  expect(() => fake.fault("eof", { at: "connect" })).toThrow(
    'The fault "eof" cannot strike at "connect"',
  );
  await fake.close();
});

test("a late count of tokens comes after the finish", async () => {
  const fake = await startFakeLmStudio({ loaded: ["tiny-chat"] });
  const { path, body } = fakes.lmstudio;
  const started = Date.now();
  const { text } = await sendRaw(`${fake.fault("late-usage", { ms: 80 }).url}${path}`, { body });
  expect(Date.now() - started).toBeGreaterThanOrEqual(75);
  expect(text.indexOf('"usage"')).toBeGreaterThan(text.indexOf('"finish_reason":"stop"'));
  await fake.close();
});

test("a fake with TLS has a certificate that nobody vouches for", async () => {
  const fake = await startFakeOllama({ tls: true });
  expect((await sendRaw(`${fake.url}/api/version`)).ending).toBe("DEPTH_ZERO_SELF_SIGNED_CERT");
  await fake.close();
});

test("a closed port refuses, and a silent server says nothing", async () => {
  const refused = await sendRaw(`http://127.0.0.1:${await closedPort()}/`);
  const silent = await startSilentServer();
  const outcome = await sendRaw(silent.url, { silenceMs: 50 });
  await silent.close();
  expect([refused.ending, outcome.ending]).toEqual(["ECONNREFUSED", "silence"]);
});
