import { setTimeout as sleep } from "node:timers/promises";
import { LLMClient, type LLMRequest } from "../src/index.js";
import {
  call,
  type Manner,
  MANNERS,
  NO_SOURCES,
  type Result,
  watchForUnhandledRejections,
  ending,
} from "./helpers/client-calls.js";
import { type FakeLmStudio, startFakeLmStudio } from "./servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "./servers/fake-ollama.js";
import type { ScriptedReply } from "./servers/scripted-replies.js";

jest.setTimeout(120_000);

watchForUnhandledRejections();

const CALLS = 300;
/** Seconds; less than what a close takes that waits for somebody. */
const PROMPT = 20;
const DRIP = { ms: 2 };

let ollama: FakeOllama;
let lmStudio: FakeLmStudio;

beforeEach(async () => {
  ollama = await startFakeOllama();
  lmStudio = await startFakeLmStudio({ loaded: ["tiny-chat"] });
  ollama.replies.set(echo("Ollama"));
  lmStudio.replies.set(echo("LM Studio"));
  // So that replies overlap.
  lmStudio.fault("slow-drip", DRIP);
});
afterEach(() => Promise.all([ollama.close(), lmStudio.close()]));

/** A client that asks Ollama first, then LM Studio. */
function newClient(more: { maxConcurrent?: number } = {}): LLMClient {
  const patience = { timeout: 30, retryDelay: 0.001, ...more };
  const next = { provider: "lmstudio", baseUrl: lmStudio.url, model: "tiny-chat" } as const;
  const first = { provider: "ollama", baseUrl: ollama.url, model: "tiny" } as const;
  return new LLMClient(
    { ...patience, ...first, fallbackConfigs: [{ ...patience, ...next }] },
    NO_SOURCES,
  );
}

/** Each word names the server and the request; a song has so many that nobody hears its end. */
function echo(server: string) {
  return ({ messages }: Record<string, unknown>): ScriptedReply => {
    const [{ content }] = messages as [{ content: string }];
    const [kind, number] = content.split(" ");
    const words = kind === "song" ? 2000 : 5;
    return { text: Array.from({ length: words }, () => `${server} ${number}. `) };
  };
}

/** What each call of a crowd is, by its number. */
function kindOf(number: number): "plain" | "moved" | "overlong" | "song" {
  if (number % 10 === 3) return "overlong";
  if (number % 10 === 5) return "song";
  return number % 5 === 1 ? "moved" : "plain";
}

function requestOf(number: number): LLMRequest {
  const kind = kindOf(number);
  const end = kind === "overlong" ? ` ${"x".repeat(30_000)}` : "";
  return {
    messages: `${kind} ${number}${end}`,
    // Only LM Studio knows what to do then.
    ...(kind === "moved" && { model: "lost" }),
  };
}

/** Both ways are used for each kind. */
function mannerOf(number: number): Manner {
  return MANNERS[Math.floor(number / 20) % MANNERS.length]!;
}

async function makeCall(client: LLMClient, number: number): Promise<Result> {
  const manner = mannerOf(number);
  if (kindOf(number) !== "song") return call(client, manner, requestOf(number));
  const work = new AbortController();
  const calling = call(client, manner, { ...requestOf(number), signal: work.signal });
  if (number % 20 === 5) await heard(number);
  else await sleep(number % 40);
  work.abort();
  return calling;
}

/** Waits until a song is under way. */
async function heard(number: number): Promise<void> {
  const isIt = ({ body }: { body: string }) => body.includes(`song ${number}"`);
  while (!ollama.requests.some(isIt)) await sleep(5);
}

function checkResult({ response, error, delivered }: Result, number: number): void {
  const kind = kindOf(number);
  const says = (server: string) => `${server} ${number}. `;
  if (kind === "plain") expect(response?.content).toBe(says("Ollama").repeat(5));
  else if (kind === "moved") expect(response?.content).toBe(says("LM Studio").repeat(5));
  else if (kind === "overlong") expect(error?.code).toBe("all_providers_failed");
  else {
    expect(error?.code).toBe("aborted");
    const sung = mannerOf(number) === "stream" ? delivered : (error?.partial ?? "");
    expect(sung.replaceAll(says("Ollama"), "")).toBe("");
  }
  if (response && mannerOf(number) === "stream") expect(delivered).toBe(response.content);
}

const numbers = Array.from({ length: CALLS }, (_, index) => index);

test(`${CALLS} calls at once all come to their own end`, async () => {
  ollama.fault("slow-drip", DRIP);
  const client = newClient();
  const calls = numbers.map((number) => makeCall(client, number));
  const results = await ending("a call", Promise.all(calls));
  results.forEach(checkResult);
  expect(new Set(results.map((_, number) => kindOf(number))).size).toBe(4);
  const songs = ollama.requests.filter(({ body }) => body.includes("song"));
  expect(songs.length).toBeGreaterThanOrEqual(CALLS / 20);
  await ending("singing to nobody", ollama.disconnectCount(songs.length), PROMPT);
  await ending("closing", client.close(), PROMPT);
  await ending("the end of the connections", unconnected(), PROMPT);
});

test("closing ends all calls at once", async () => {
  ollama.fault("slow-drip", DRIP);
  const client = newClient();
  const calls = numbers.map((number) =>
    call(client, mannerOf(number), { messages: `song ${number}` }),
  );
  await ollama.requestCount(CALLS / 2);
  await ending("closing", client.close(), PROMPT);
  const codes = (await ending("the calls", Promise.all(calls))).map(({ error }) => error?.code);
  expect(new Set(codes)).toEqual(new Set(["closed"]));
  await ending("the end of the connections", unconnected(), PROMPT);
});

test("maxConcurrent holds at each server", async () => {
  ollama.fault("slow-drip", DRIP);
  await using client = newClient({ maxConcurrent: 5 });
  const calls = (["plain", "moved"] as const).flatMap((kind) =>
    numbers.filter((number) => kindOf(number) === kind).slice(0, 30),
  );
  const results = await Promise.all(calls.map((number) => makeCall(client, number)));
  for (const [index, number] of calls.entries()) checkResult(results[index]!, number);
  expect([ollama.mostInFlight, lmStudio.mostInFlight]).toEqual([5, 5]);
});

test("a place is free again, however a call ends", async () => {
  await using client = newClient({ maxConcurrent: 1 });
  ollama.fault("reset", { at: "mid-stream", times: 1 }).fault("ollama-bad-format", { times: 1 });
  ollama.fault("slow-drip", DRIP);
  for (let count = 0; count < 2; count++) await call(client, "stream", { messages: "plain 1" });
  for await (const event of client.stream("song 2")) if (event.type === "text") break;
  const signal = AbortSignal.timeout(20);
  await call(client, "generate", { messages: "song 3", signal });
  // Whoever gives up in the line leaves it.
  const waiting = numbers.slice(0, 20).map((number) =>
    call(client, "generate", {
      messages: `plain ${number}`,
      signal: number % 2 ? signal : undefined,
    }),
  );
  const results = await ending("a call", Promise.all(waiting));
  expect(results.filter(({ response }) => response)).toHaveLength(10);
  expect(ollama.mostInFlight).toBe(1);
});

async function unconnected(): Promise<void> {
  while (ollama.open + lmStudio.open > 0) await sleep(2);
}
