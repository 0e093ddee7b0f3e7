import { AbortError, GenerationError, LLMError } from "./errors.js";
import {
  checkedObject,
  type ObjectRequest,
  type ObjectResponse,
  objectSchema,
} from "./generate-object.js";
import type { LLMRequest, LLMResponse, LLMStream } from "./types.js";

/** A value of which parts may still be missing, and the last text may still grow. */
export type DeepPartial<T> = T extends readonly (infer Item)[]
  ? DeepPartial<Item>[]
  : T extends object
    ? { [Key in keyof T]?: DeepPartial<T[Key]> }
    : T;

/**
 * A value of a schema as it is written: each turn gives as much of it as there is. Leaving the loop
 * ends the work.
 */
export class ObjectStream<T> implements AsyncIterable<DeepPartial<T>> {
  readonly #open: () => AsyncGenerator<DeepPartial<T>, ObjectResponse<T>>;
  readonly #whole: Promise<ObjectResponse<T>>;
  #resolve!: (whole: ObjectResponse<T>) => void;
  #reject!: (error: unknown) => void;
  #isRead = false;

  /** `stream` gives the reply to a request. */
  constructor(stream: (request: LLMRequest) => LLMStream, request: ObjectRequest<T>) {
    this.#open = () => readObject(stream, request);
    this.#whole = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Whoever reads the parts gets the error there.
    this.#whole.catch(() => {});
  }

  /** The whole value, which fits the schema; awaiting it without reading parts drives the stream. */
  get object(): Promise<T> {
    return this.#last().then(({ object }) => object);
  }

  /** The reply that it was read from. */
  get response(): Promise<LLMResponse> {
    return this.#last().then(({ response }) => response);
  }

  [Symbol.asyncIterator](): AsyncGenerator<DeepPartial<T>, void> {
    if (this.#isRead) {
      throw new GenerationError("This stream is being read already; its parts come only once.", {
        code: "stream_already_read",
      });
    }
    this.#isRead = true;
    return this.#read();
  }

  async *#read(): AsyncGenerator<DeepPartial<T>, void> {
    try {
      this.#resolve(yield* this.#open());
    } catch (error) {
      this.#reject(error);
      throw error;
    } finally {
      this.#reject(new AbortError("The stream was left before its end."));
    }
  }

  #last(): Promise<ObjectResponse<T>> {
    // Later, so that `const { object } = stream` before a loop over the parts is fine.
    if (!this.#isRead) setImmediate(() => void this.#drain());
    return this.#whole;
  }

  async #drain(): Promise<void> {
    if (this.#isRead) return;
    try {
      for await (const _ of this);
    } catch {
      // The promises carry it.
    }
  }
}

async function* readObject<T>(
  stream: (request: LLMRequest) => LLMStream,
  { schema, ...request }: ObjectRequest<T>,
): AsyncGenerator<DeepPartial<T>, ObjectResponse<T>> {
  const { json, check } = await objectSchema(schema);
  const reply = stream({ ...request, responseFormat: { type: "json_schema", schema: json } });
  const texts = textsOf(reply);
  try {
    yield* partsOf(texts) as AsyncGenerator<DeepPartial<T>>;
    // It may go on behind what is no JSON any more.
    for await (const _ of texts);
    return await checkedObject<T>(await reply.response, check);
  } finally {
    await texts.return();
  }
}

async function* textsOf(reply: LLMStream): AsyncGenerator<string, void> {
  for await (const event of reply) if (event.type === "text") yield event.text;
}

/** More and more of a JSON value, up to where a text is none. */
async function* partsOf(texts: AsyncIterable<string>): AsyncGenerator<unknown> {
  // Who streams no objects need not load it.
  const { parse } = await import("jsonriver");
  const whole = new WeakSet<object>();
  const completeCallback = (value: unknown) => {
    if (typeof value === "object" && value !== null) whole.add(value);
  };
  try {
    for await (const value of parse(texts, { completeCallback })) yield copyOf(value, whole);
  } catch (error) {
    if (LLMError.is(error)) throw error;
  }
}

/** A value that stays as it is; what is whole is not copied. */
function copyOf(value: unknown, whole: WeakSet<object>): unknown {
  if (typeof value !== "object" || value === null || whole.has(value)) return value;
  if (Array.isArray(value)) return value.map((item) => copyOf(item, whole));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, copyOf(item, whole)]));
}
