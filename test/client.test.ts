import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { cp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  AbortError,
  ConfigurationError,
  LLMClient,
  type LLMConfig,
  type LLMRequest,
  type StreamEvent,
  type StreamingRequest,
  TimeoutError,
  ValidationError,
} from "../src/index.js";
import { failureOf } from "./contracts/provider-contract.js";
import { NO_SOURCES } from "./helpers/client-calls.js";
import { addonFile, describeNative } from "./helpers/native.js";
import { makeLargeModel, makeTalkingModel } from "./helpers/talking-model.js";
import { closeAll, startServer } from "./http/local-server.js";

// Other work may keep the machine busy.
jest.setTimeout(30_000);

const places = mkdtempSync(join(tmpdir(), "client-"));
const entry = fileURLToPath(new URL("../dist/esm/index.js", import.meta.url));
const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown) => unhandled.push(reason);

beforeAll(async () => {
  process.on("unhandledRejection", noteUnhandled);
  await makeTalkingModel(join(places, "parrot"));
  await makeTalkingModel(join(places, "wide"), { max_position_embeddings: 30_000 });
});
afterAll(async () => {
  rmSync(places, { recursive: true });
  await sleep(20);
  process.off("unhandledRejection", noteUnhandled);
  expect(unhandled).toEqual([]);
});

const settings: LLMConfig = { provider: "mlx", baseUrl: places, model: "parrot" };
/** Takes seconds to read. */
const slowRequest = { model: "wide", messages: "x".repeat(29_000) };

async function textOf(events: AsyncIterable<StreamEvent>): Promise<string> {
  let text = "";
  for await (const event of events) if (event.type === "text") text += event.text;
  return text;
}

/** Runs a module in a process of its own and gives back what it printed. */
async function runCode(code: string): Promise<string> {
  const args = ["--input-type=module", "--eval", code];
  return (await promisify(execFile)(process.execPath, args, { timeout: 30_000 })).stdout;
}

test("a wrong configuration is refused by the constructor", () => {
  expect(() => new LLMClient({ timeout: -1 })).toThrow(ConfigurationError);
  expect(() => new LLMClient({ provider: "ollam" as "ollama" })).toThrow("provider");
});

test("a wrong request fails the call, not the client", async () => {
  await using client = new LLMClient(settings);
  const wrong = { messages: "Hi", temperature: 3 };
  expect(await failureOf(client.generate(wrong))).toBeInstanceOf(ValidationError);
  expect(await failureOf(textOf(client.stream(wrong)))).toBeInstanceOf(ValidationError);
  expect(await failureOf(client.generate(5 as unknown as string))).toBeInstanceOf(ValidationError);
});

test("embeddings take their turn where the requests at a time are limited", async () => {
  let open = 0;
  let most = 0;
  const { url } = await startServer(async (_, response) => {
    open += 1;
    most = Math.max(most, open);
    await new Promise((resolve) => setTimeout(resolve, 10));
    open -= 1;
    response.end(JSON.stringify({ embeddings: [[1]] }));
  });
  await using client = new LLMClient(
    { provider: "ollama", baseUrl: url, model: "m", maxConcurrent: 2 },
    NO_SOURCES,
  );
  await Promise.all(Array.from({ length: 6 }, () => client.embed("a")));
  expect(most).toBe(2);
  await closeAll();
});

describeNative("a client", () => {
  let client: LLMClient;
  beforeEach(() => {
    client = new LLMClient(settings);
  });
  afterEach(() => client.close());

  describe("generating", () => {
    test("takes a string or a request", async () => {
      const { content, model, provider } = await client.generate("Hi");
      expect(content).not.toBe("");
      expect({ model, provider }).toEqual({ model: "parrot", provider: "mlx" });
      const messages = [{ role: "user" as const, content: "Hi" }];
      const short = await client.generate({ messages, maxTokens: 3, requestId: "mine" });
      expect(short).toMatchObject({ requestId: "mine", usage: { completionTokens: 3 } });
    });

    test("gives the same text streamed and whole", async () => {
      const request = { messages: "Hi", temperature: 0, maxTokens: 30 };
      const whole = await client.generate(request);
      const streamed = client.stream(request);
      expect(await textOf(streamed)).toBe(whole.content);
      expect((await streamed.response).content).toBe(whole.content);
    });

    test("gives the reply or the stream also for requests that have a type", async () => {
      const request: LLMRequest = { messages: "Hi", maxTokens: 2 };
      expect((await client.generate(request)).usage.completionTokens).toBe(2);
      const streaming: StreamingRequest = { ...request, stream: true };
      expect(await textOf(client.generate(streaming))).not.toBe("");
      const either: LLMRequest | StreamingRequest = Math.random() < 2 ? request : streaming;
      expect(await client.generate(either)).toMatchObject({ finishReason: "length" });
    });

    test("gives the stream if the request says so", async () => {
      const stream = client.generate({ messages: "Hi", maxTokens: 5, stream: true });
      const text = await textOf(stream);
      expect(text).toBe((await stream.response).content);
    });

    test("measures times", async () => {
      const { latencyMs, timings } = await client.generate({ messages: "Hi", maxTokens: 30 });
      expect(timings.firstTokenMs).toBeGreaterThan(0);
      expect(timings.firstTokenMs).toBeLessThanOrEqual(latencyMs);
      expect(timings.promptTokensPerSecond).toBeGreaterThan(0);
      expect(timings.tokensPerSecond).toBeGreaterThan(0);
    });

    test("counts the time in which a call waits for its turn", async () => {
      await client.generate({ messages: "Hi", maxTokens: 1 });
      const startedAt = performance.now();
      const calls = Array.from({ length: 20 }, async () => {
        let measured: number | undefined;
        const stream = client.stream({ messages: "x".repeat(200), maxTokens: 5 });
        for await (const { type } of stream) {
          if (type === "text") measured ??= performance.now() - startedAt;
        }
        return [(await stream.response).timings.firstTokenMs!, measured!];
      });
      for (const [reported, measured] of (await Promise.all(calls)) as [number, number][]) {
        expect(reported).toBeLessThanOrEqual(measured);
        expect(reported).toBeGreaterThan(measured * 0.5);
      }
    });

    test("answers with the demo model, and says so, where none is named", async () => {
      await using unnamed = new LLMClient({ provider: "mlx" });
      const response = await unnamed.generate({ messages: "Hello", temperature: 0 });
      expect(response.model).toBe("demo");
      expect(response.warnings).toEqual([expect.stringContaining("demo")]);
    });

    test("reads MLX_MODEL_PATH", async () => {
      process.env.MLX_MODEL_PATH = join(places, "parrot");
      await using other = new LLMClient();
      delete process.env.MLX_MODEL_PATH;
      const { model } = await other.generate({ messages: "Hi", maxTokens: 1 });
      expect(model).toBe(join(places, "parrot"));
    });
  });

  describe("failing", () => {
    test("tells the request and what was tried", async () => {
      const request = { messages: "Hi", model: "nobody/has-this", requestId: "mine" };
      const failure = await failureOf(client.generate(request));
      expect(failure).toMatchObject({
        requestId: "mine",
        provider: "mlx",
        code: "model_not_found",
      });
      expect(failure.attempts).toEqual([
        {
          leg: 0,
          provider: "mlx",
          model: "nobody/has-this",
          phase: "load",
          code: "model_not_found",
          durationMs: expect.any(Number),
        },
      ]);
    });

    test("tells the request also where nothing was tried", async () => {
      const wrong = { messages: "Hi", temperature: 3, requestId: "mine" };
      expect(await failureOf(client.generate(wrong))).toMatchObject({
        name: "ValidationError",
        requestId: "mine",
        attempts: [],
      });
      await client.close();
      const closed = await failureOf(client.generate("Hi"));
      expect(closed).toMatchObject({ code: "closed", attempts: [] });
      expect(closed.requestId).toMatch(/^[0-9a-f-]{36}$/);
    });

    test("after leaving the loop tells how far the reply had come", async () => {
      const stream = client.stream({ messages: "Hi", requestId: "mine" });
      let text = "";
      for await (const event of stream) {
        if (event.type === "text") text += event.text;
        if (text !== "") break;
      }
      expect(await failureOf(stream.response)).toMatchObject({
        name: "AbortError",
        message: "The stream was left before its end.",
        partial: text,
        requestId: "mine",
        provider: "mlx",
        attempts: [{ phase: "stream", code: "aborted" }],
      });
    });

    test("leaves no rejection behind when nobody waits for the response", async () => {
      const stream = client.stream({ messages: "Hi", model: "nobody/has-this" });
      void stream.response;
      await sleep(100);
      for await (const _ of client.stream("Hi")) break;
      await sleep(20);
      expect(unhandled).toEqual([]);
    });
  });

  describe("limits", () => {
    test("no first token within the time is a TimeoutError", async () => {
      await client.generate({ messages: "Hi", model: "wide", maxTokens: 1 });
      const failure = await failureOf(client.generate({ ...slowRequest, timeoutOverride: 0.1 }));
      expect(failure).toBeInstanceOf(TimeoutError);
      expect(failure).toMatchObject({ code: "first_content_timeout", provider: "mlx" });
    });

    test("the deadline ends a reply and keeps its text", async () => {
      await using hurried = new LLMClient({ ...settings, model: "wide", deadline: 0.5 });
      const failure = await failureOf(hurried.generate("Tell me a story."));
      expect(failure).toMatchObject({ name: "TimeoutError", code: "deadline_exceeded" });
      expect(failure.partial).not.toBe("");
    });
  });

  describe("aborting", () => {
    const abortAfter = (milliseconds: number, request: Omit<LLMRequest, "stream">) => {
      const signal = AbortSignal.timeout(milliseconds);
      return failureOf(client.generate({ ...request, signal }));
    };

    test("works before the start, while loading, reading and writing", async () => {
      for (const milliseconds of [0, 1, 3, 30, 300]) {
        const failure = await abortAfter(milliseconds, slowRequest);
        expect(failure).toBeInstanceOf(AbortError);
      }
      const story = { messages: "Tell me a story.", model: "wide" };
      expect((await abortAfter(300, story)).partial).not.toBe("");
      expect((await client.generate({ messages: "Hi", maxTokens: 2 })).finishReason).toBe("length");
    });

    test("does not gather listeners on a signal that outlives the calls", async () => {
      const { signal } = new AbortController();
      const added = jest.spyOn(signal, "addEventListener");
      const removed = jest.spyOn(signal, "removeEventListener");
      await client.generate({ messages: "Hi", maxTokens: 2, signal });
      await sleep(0);
      expect(added).toHaveBeenCalled();
      expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
    });
  });

  describe("closing", () => {
    test("ends what is under way", async () => {
      const story = failureOf(client.generate({ messages: "Tell me a story.", model: "wide" }));
      const reading = failureOf(client.generate(slowRequest));
      await sleep(200);
      await client.close();
      expect(await story).toMatchObject({ name: "AbortError", code: "closed" });
      expect(await reading).toMatchObject({ name: "AbortError", code: "closed" });
    });

    test("makes every later use fail, and may be repeated", async () => {
      await client.close();
      await client.close();
      for (const use of ["generate", "listModels", "health"] as const) {
        const failure = await failureOf(Promise.resolve(client[use]("Hi" as never)));
        expect(failure).toMatchObject({ name: "AbortError", code: "closed" });
      }
    });

    test("happens at the end of an await using block", async () => {
      let outside: LLMClient;
      {
        await using inside = new LLMClient(settings);
        outside = inside;
      }
      expect(await failureOf(outside.generate("Hi"))).toMatchObject({ code: "closed" });
    });
  });

  describe("listing models", () => {
    const names = async (options?: { useCache?: boolean }) =>
      (await client.listModels(options))
        .filter(({ path }) => path?.startsWith(places))
        .map(({ id }) => id);

    test("remembers the list until it is told otherwise", async () => {
      expect(await names()).toEqual(["parrot", "wide"]);
      await makeTalkingModel(join(places, "new"));
      expect(await names()).toEqual(["parrot", "wide"]);
      expect(await names({ useCache: false })).toEqual(["new", "parrot", "wide"]);
      await rm(join(places, "new"), { recursive: true });
      client.invalidateCache();
      expect(await names()).toEqual(["parrot", "wide"]);
    });

    test("tells which are loaded now, also in a remembered list", async () => {
      const isLoaded = async () =>
        (await client.listModels()).find(({ id }) => id === "parrot")!.loaded;
      expect(await isLoaded()).toBe(false);
      await client.generate({ messages: "Hi", maxTokens: 1 });
      expect(await isLoaded()).toBe(true);
    });
  });

  test("health reports on the provider", async () => {
    expect(await client.health()).toMatchObject({
      healthy: true,
      providers: [{ provider: "mlx", model: "parrot", healthy: true }],
    });
    expect(await client.healthCheck()).toBe(true);
    await using broken = new LLMClient({ ...settings, model: "nobody/has-this" });
    expect(await broken.healthCheck()).toBe(false);
  });

  test("fifty generations at once all come to their end", async () => {
    const replies = await Promise.all(
      Array.from({ length: 50 }, () => client.generate({ messages: "Hi", maxTokens: 8 })),
    );
    expect(replies.map(({ usage }) => usage.completionTokens)).toEqual(Array(50).fill(8));
  });

  describe("a process", () => {
    const run = (script: string) =>
      runCode(`import { LLMClient } from ${JSON.stringify(entry)};
        const client = new LLMClient(${JSON.stringify(settings)});
        ${script}`);

    test("ends by itself after close", async () => {
      const script = `await client.generate({ messages: "Hi", maxTokens: 3 });
        await client.close(); console.log("done");`;
      expect(await run(script)).toBe("done\n");
    });

    test("ends soon after close although a model is loading", async () => {
      const largeBytes = await makeLargeModel(join(places, "large"));
      const script = `
        import { createRequire } from "node:module";
        client.generate({ messages: "Hi", model: "large" }).catch(({ code }) => console.log(code));
        const { memory } = createRequire(import.meta.url)(${JSON.stringify(addonFile())});
        while (memory().active === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        await client.close();
        process.on("exit", () => console.log(memory().peak));`;
      const [code, peak] = (await run(script)).split("\n");
      expect(code).toBe("closed");
      expect(Number(peak)).toBeLessThan(largeBytes / 2);
      await rm(join(places, "large"), { recursive: true });
    });

    test("hears of a failure that nobody awaited", async () => {
      const failing = run(`client.generate({ messages: "Hi", model: "nobody/has-this" });`);
      await expect(failing).rejects.toMatchObject({
        code: 1,
        stderr: expect.stringContaining('"nobody/has-this" was not found'),
      });
    });

    test("ends by itself without close once nothing is under way", async () => {
      const script = `await client.generate({ messages: "Hi", maxTokens: 3 }); console.log("done");`;
      expect(await run(script)).toBe("done\n");
    });

    test("stays alive while a reply is under way", async () => {
      const script = `client.generate("Hi").then(({ finishReason }) => console.log(finishReason));`;
      expect(await run(script)).toBe("length\n");
    });

    test("ends although a stream was left lying", async () => {
      const script = `const events = client.stream("Hi")[Symbol.asyncIterator]();
        await events.next(); await events.next(); console.log("left");`;
      expect(await run(script)).toBe("left\n");
    });

    test("does not load the addon before it is needed", async () => {
      const script = `console.log(process.report.getReport().sharedObjects.some((file) =>
        file.endsWith("mlx-llm-client.node")));`;
      expect(await run(script)).toBe("false\n");
    });
  });
});

test("without the addon a client says why it cannot generate, and still lists models", async () => {
  const copy = join(places, "copy");
  await cp(join(entry, "../.."), join(copy, "dist"), { recursive: true });
  await cp(join(entry, "../../../package.json"), join(copy, "package.json"));
  await symlink(join(entry, "../../../node_modules"), join(copy, "node_modules"));
  const code = `import { LLMClient } from ${JSON.stringify(join(copy, "dist/esm/index.js"))};
    const client = new LLMClient(${JSON.stringify(settings)});
    const { name, code, hint } = await client.generate("Hi").catch((error) => error.toJSON());
    const health = await client.health();
    const models = await client.listModels();
    console.log(JSON.stringify({ name, code, hint, health, models }));`;
  const report = JSON.parse(await runCode(code));
  expect(report).toMatchObject({
    name: "ProviderUnavailableError",
    code: "provider_unavailable",
    hint: expect.stringContaining("npm"),
    health: { healthy: false, providers: [{ reachable: false, code: "provider_unavailable" }] },
  });
  expect(report.models).toContainEqual(expect.objectContaining({ id: "parrot" }));
});
