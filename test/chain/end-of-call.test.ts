import { getEventListeners } from "node:events";
import type { LLMClient, LLMConfig, LLMError } from "../../src/index.js";
import { failureOf } from "../helpers/chain-calls.js";
import { tellingClient, type Told } from "../helpers/client-calls.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

jest.setTimeout(30_000);

let ollama: FakeOllama;
let client: LLMClient;
let told: Told;
let caller: AbortController;

beforeEach(async () => {
  ollama = await startFakeOllama();
  caller = new AbortController();
});
afterEach(async () => {
  await client.close();
  await ollama.close();
});

function start(config: LLMConfig = {}): void {
  const leg = { provider: "ollama", baseUrl: ollama.url, model: "tiny", maxRetries: 0 } as const;
  ({ client, told } = tellingClient({ ...leg, ...config }));
}

const request = () => ({ messages: "hi", requestId: "mine", signal: caller.signal });

async function read(): Promise<void> {
  for await (const _ of client.stream(request()));
}

const fails = async (work: Promise<unknown>): Promise<void> => void (await failureOf(work));

/** Ways in which a call ends, with the code of the failure, if it is one. */
const ENDS: [string, string | undefined, () => Promise<void>][] = [
  ["a whole reply", undefined, async () => void (await client.generate(request()))],
  ["a stream", undefined, read],
  [
    "a response without a reader",
    undefined,
    async () => void (await client.stream(request()).response),
  ],
  [
    "a refused request",
    "validation",
    () => fails(client.generate({ ...request(), temperature: 3 })),
  ],
  [
    "a failure before the first content",
    "server_error",
    () => {
      ollama.fault("server-error");
      return fails(read());
    },
  ],
  [
    "a reply that breaks off",
    "stream_interrupted",
    () => {
      ollama.fault("reset", { at: "mid-stream" });
      return fails(read());
    },
  ],
  [
    "a whole reply that breaks off",
    "stream_interrupted",
    () => {
      ollama.fault("reset", { at: "mid-stream" });
      return fails(client.generate(request()));
    },
  ],
  [
    "a loop that is left",
    "aborted",
    async () => {
      ollama.fault("silence");
      for await (const { type } of client.stream(request())) if (type === "text") break;
    },
  ],
  [
    "a stream that is left before its first event",
    "aborted",
    async () => {
      await client.stream(request())[Symbol.asyncIterator]().return!();
    },
  ],
  [
    "a stream that is left while an event is on its way",
    "aborted",
    async () => {
      const iterator = client.stream(request())[Symbol.asyncIterator]();
      const waiting = fails(iterator.next());
      await iterator.return!();
      await waiting;
    },
  ],
  [
    "an abort before the call",
    "aborted",
    () => {
      caller.abort();
      return fails(client.generate(request()));
    },
  ],
  [
    "an abort while waiting",
    "aborted",
    async () => {
      ollama.fault("never-answers");
      const failing = fails(client.generate(request()));
      await ollama.requestCount(1);
      caller.abort();
      await failing;
    },
  ],
  [
    "an abort of a stream that nobody reads on",
    "aborted",
    async () => {
      ollama.fault("silence");
      const stream = client.stream(request());
      const events = stream[Symbol.asyncIterator]();
      for (let event = await events.next(); event.value.type !== "text"; ) {
        event = await events.next();
      }
      caller.abort();
      await fails(stream.response);
    },
  ],
  [
    "the end of the client",
    "closed",
    async () => {
      ollama.fault("never-answers");
      const failing = fails(read());
      await ollama.requestCount(1);
      await client.close();
      await failing;
    },
  ],
  [
    "a call after the end of the client",
    "closed",
    async () => {
      await client.close();
      await fails(client.generate(request()));
    },
  ],
  [
    "a deadline",
    "deadline_exceeded",
    () => {
      ollama.fault("never-answers");
      start({ deadline: 0.1 });
      return fails(client.generate(request()));
    },
  ],
];

test.each(ENDS)("is told once, and leaves nothing behind: %s", async (_name, code, end) => {
  start();
  await end();
  const [finish] = told.finishes;
  expect(told.finishes).toHaveLength(1);
  expect(finish!.requestId).toBe("mine");
  const { response, error } = finish!;
  if (code) expect(error).toMatchObject({ code, requestId: "mine" });
  else expect(response).toMatchObject({ content: "Hello from a fake.", requestId: "mine" });
  expect((response ?? error)!.attempts).toEqual(told.attempts.map(({ attempt }) => attempt));
  expect(getEventListeners(caller.signal, "abort")).toEqual([]);
});

test("the deadline holds although content keeps coming, and the text so far is kept", async () => {
  start({ deadline: 0.5 });
  ollama.replies.set({ text: Array.from({ length: 200 }, () => "word ") });
  ollama.fault("slow-drip");
  const failure: LLMError = await failureOf(read());
  expect(failure).toMatchObject({ name: "TimeoutError", code: "deadline_exceeded" });
  expect(failure.partial).toMatch(/^(word )+$/);
  await ollama.disconnectCount(1);
});

test("the timer of a deadline goes with its call", async () => {
  const set = jest.spyOn(globalThis, "setTimeout");
  const cleared = jest.spyOn(globalThis, "clearTimeout");
  start({ deadline: 1234 });
  await client.generate(request());
  const index = set.mock.calls.findIndex(([, delay]) => delay === 1_234_000);
  const timer: NodeJS.Timeout = set.mock.results[index]!.value;
  expect(timer.hasRef()).toBe(false);
  expect(cleared).toHaveBeenCalledWith(timer);
});

test("a download that cannot begin leaves nothing on the caller's signal", async () => {
  start();
  await client.close();
  const pulling = client.pullModel("tiny", { signal: caller.signal });
  expect(await failureOf(pulling.next())).toMatchObject({ code: "closed" });
  expect(getEventListeners(caller.signal, "abort")).toEqual([]);
});
