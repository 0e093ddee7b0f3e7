import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { type DeepPartial, LLMClient, LLMError, type ObjectStream } from "../src/index.js";
import { NO_SOURCES, watchForUnhandledRejections } from "./helpers/client-calls.js";
import { describeNative } from "./helpers/native.js";
import { type Fake, KINDS } from "./servers/kinds.js";

// Other work may keep the machine busy.
jest.setTimeout(60_000);

watchForUnhandledRejections();

const person = z.object({
  name: z.string().max(12),
  born: z.int().min(1000).max(2000),
  likes: z.array(z.object({ what: z.string().max(9) })).max(2),
});
type Person = z.infer<typeof person>;

const PIECES = [
  '{"na',
  'me":"A',
  'da","born":18',
  '15,"likes":[{"what":"t',
  'ea"},{',
  '"what":"',
  '"}]}',
];
const ADA = { name: "Ada", born: 1815, likes: [{ what: "tea" }, { what: "" }] };

async function failureOf(work: Promise<unknown>): Promise<LLMError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!LLMError.is(error)) throw new Error("It did not fail.", { cause: error });
  return error;
}

async function partsOf<T>(stream: ObjectStream<T>): Promise<DeepPartial<T>[]> {
  const parts: DeepPartial<T>[] = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

const { ollama, ollamaOpenAI, lmStudio } = KINDS;

describe.each([ollama, ollamaOpenAI, lmStudio])(
  "an object that $title writes",
  ({ start, leg }) => {
    let server: Fake;
    let client: LLMClient;
    beforeEach(async () => {
      server = await start();
      client = new LLMClient({ ...leg(server), maxRetries: 0 }, NO_SOURCES);
      // Each piece comes by itself.
      server.fault("slow-drip", { ms: 15 });
    });
    afterEach(() => Promise.all([client.close(), server.close()]));

    const ask = (text: string[], more = {}) => {
      server.replies.set({ text, ...more });
      return client.streamObject<Person>({ messages: "Hi", schema: person });
    };

    test("grows, and is whole at the end", async () => {
      const stream = ask(PIECES);
      const parts = await partsOf(stream);
      expect(parts.length).toBeGreaterThan(2);
      for (const [at, part] of parts.slice(1).entries()) {
        expect(JSON.stringify(part).length).toBeGreaterThan(JSON.stringify(parts[at]).length);
      }
      expect(parts.at(-1)).toEqual(ADA);
      const object: Person = await stream.object;
      expect(object).toEqual(ADA);
      expect((await stream.response).content).toBe(PIECES.join(""));
    });

    test("comes whole to whoever reads no parts", async () => {
      expect(await ask(PIECES).object).toEqual(ADA);
      expect((await ask(PIECES).response).content).toBe(PIECES.join(""));
    });

    test("must fit its schema, as the iterator and the promise say", async () => {
      const stream = ask(['{"name":"A', 'da","born":"1815"}']);
      const failure = await failureOf(partsOf(stream));
      expect(failure).toMatchObject({ name: "GenerationError", code: "schema_mismatch" });
      expect(failure.partial).toBe('{"name":"Ada","born":"1815"}');
      expect(await failureOf(stream.object)).toBe(failure);
      expect(await failureOf(stream.response)).toBe(failure);
    });

    test("is none where a reply is no JSON, or cut", async () => {
      const chat = ask(["Sure: ", '{"na', 'me": "Ada"}', " there."]);
      expect(await failureOf(partsOf(chat))).toMatchObject({ code: "schema_mismatch" });
      expect(await failureOf(ask(["1815", " AD"]).object)).toMatchObject({
        code: "schema_mismatch",
      });
      const cut = ask(['{"name":"A', "d"], { finishReason: "length" });
      expect((await failureOf(cut.object)).message).toMatch(/cut|no JSON/);
    });

    test("ends upstream where its reader leaves", async () => {
      const stream = ask([PIECES[0]!, PIECES[1]!, ...Array.from({ length: 2_000 }, () => "a")]);
      for await (const part of stream) {
        expect(part).toEqual(expect.any(Object));
        break;
      }
      expect(await failureOf(stream.object)).toMatchObject({ name: "AbortError" });
      while (server.disconnects === 0) await sleep(5);
      expect(() => stream[Symbol.asyncIterator]()).toThrow("being read already");
    });
  },
);

describe("an object in parts", () => {
  let server: Fake;
  let client: LLMClient;
  beforeEach(async () => {
    server = await ollama.start();
    client = new LLMClient({ ...ollama.leg(server), maxRetries: 0 }, NO_SOURCES);
  });
  afterEach(() => Promise.all([client.close(), server.close()]));

  test("stays as it was given, and touches no prototype", async () => {
    server.fault("slow-drip", { ms: 15 });
    server.replies.set({ text: ['{"2":{"a":"x', 'y"},"1":"p', 'q","__proto__":{"b":', "1}}"] });
    const stream = client.streamObject({ messages: "Hi", schema: { type: "object" } });
    const texts: string[] = [];
    const parts: unknown[] = [];
    for await (const part of stream) {
      parts.push(part);
      texts.push(JSON.stringify(part));
    }
    expect(parts.map((part) => JSON.stringify(part))).toEqual(texts);
    expect(texts.at(-1)).toBe('{"1":"pq","2":{"a":"xy"},"__proto__":{"b":1}}');
    expect(Object.getPrototypeOf(parts.at(-1))).toBe(Object.prototype);
    expect(({} as { b?: number }).b).toBeUndefined();
  });

  test("is refused for a schema that is none before anybody is asked", async () => {
    const stream = client.streamObject({ messages: "Hi", schema: { type: 3 } });
    expect(await failureOf(partsOf(stream))).toMatchObject({ name: "ValidationError" });
    expect(server.requests).toHaveLength(0);
  });
});

describeNative("an object that an MLX model writes", () => {
  const client = new LLMClient({ provider: "mlx", model: "demo" }, NO_SOURCES);
  afterAll(() => client.close());

  test("grows, and fits however wild the model is", async () => {
    const request = { messages: "Hello", temperature: 2, maxTokens: 900, seed: 1 };
    const stream = client.streamObject({ ...request, schema: person });
    const parts = await partsOf(stream);
    expect(parts.length).toBeGreaterThan(5);
    expect(parts.at(-1)).toEqual(await stream.object);
    expect([...(await stream.object).name].length).toBeLessThanOrEqual(12);
  });
});
