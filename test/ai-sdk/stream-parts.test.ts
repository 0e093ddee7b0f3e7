import type { LanguageModelV3CallOptions, LanguageModelV3StreamPart } from "@ai-sdk/provider";
import { createMlxLlmClient, type MlxLlmClientProvider } from "../../src/ai-sdk/index.js";
import { LLMClient } from "../../src/index.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { type FakeLmStudio, startFakeLmStudio } from "../servers/fake-lm-studio.js";
import type { ScriptedReply } from "../servers/scripted-replies.js";

type Part = LanguageModelV3StreamPart;

let lmStudio: FakeLmStudio;
let llm: MlxLlmClientProvider;

beforeEach(async () => {
  lmStudio = await startFakeLmStudio({ models: [{ id: "m" }] });
  const config = { provider: "lmstudio", baseUrl: lmStudio.url, maxRetries: 0 } as const;
  llm = createMlxLlmClient(new LLMClient(config, NO_SOURCES));
});

afterEach(async () => {
  await llm.close();
  await lmStudio.close();
});

const prompt: LanguageModelV3CallOptions["prompt"] = [
  { role: "user", content: [{ type: "text", text: "Hello" }] },
];
const inputSchema = { type: "object" as const };
const tools = ["look", "find"].map((name) => ({ type: "function" as const, name, inputSchema }));

async function partsOf(options: Partial<LanguageModelV3CallOptions> = {}): Promise<Part[]> {
  const { stream } = await llm("m").doStream({ prompt, tools, ...options });
  const parts: Part[] = [];
  for await (const part of stream) parts.push(part);
  checkOrder(parts);
  return parts;
}

/** What the specification says of the order of parts. */
function checkOrder(parts: Part[]): void {
  const open = new Map<string, string>();
  const ended = new Set<string>();
  for (const part of parts) {
    const [, kind, step] = /^(text|reasoning|tool-input)-(start|delta|end)$/.exec(part.type) ?? [];
    if (!kind || !("id" in part)) continue;
    const key = `${kind} ${part.id}`;
    if (step === "start") {
      expect([key, ended.has(key), open.has(key)]).toEqual([key, false, false]);
      open.set(key, "");
    }
    expect([key, open.has(key)]).toEqual([key, true]);
    if (part.type === "tool-input-delta") open.set(key, open.get(key) + part.delta);
    if (step === "end") {
      const call = parts.find(
        (other) => other.type === "tool-call" && other.toolCallId === part.id,
      );
      if (call?.type === "tool-call") expect(open.get(key)).toBe(call.input);
      open.delete(key);
      ended.add(key);
    }
  }
  expect([...open.keys()]).toEqual([]);
  const types = parts.map(({ type }) => type).filter((type) => type !== "raw");
  expect(types.slice(0, 2)).toEqual(["stream-start", "response-metadata"]);
  expect(types.filter((type) => type === "stream-start" || type === "finish")).toHaveLength(2);
  expect(types.at(-1)).toBe("finish");
}

const typesOf = (parts: Part[]) => parts.map(({ type }) => type);

const call = (name: string, city: string) => ({ name, arguments: { city } });

describe("the parts of a stream", () => {
  const cases: [string, ScriptedReply, string[]][] = [
    ["text", { text: ["Hel", "lo"] }, ["text"]],
    ["reasoning and text", { reasoning: ["Hm"], text: ["Hi"] }, ["reasoning", "text"]],
    ["a call", { toolCalls: [call("look", "Rome")] }, ["tool-input"]],
    [
      "text and calls",
      { text: ["Wait"], toolCalls: [call("look", "Rome"), call("find", "Ulm")] },
      ["text", "tool-input", "tool-input"],
    ],
  ];

  test.each(cases)("are in order for %s", async (_, reply, blocks) => {
    lmStudio.replies.set(reply);
    const starts = typesOf(await partsOf())
      .filter((type) => type.endsWith("-start"))
      .slice(1);
    expect(starts).toEqual(blocks.map((block) => `${block}-start`));
  });

  test("tell the calls of a reply as they are", async () => {
    lmStudio.replies.set({ toolCalls: [call("look", "Rome"), call("find", "Ulm")] });
    const calls = (await partsOf()).filter((part) => part.type === "tool-call");
    expect(calls).toMatchObject([
      { toolName: "look", input: '{"city":"Rome"}' },
      { toolName: "find", input: '{"city":"Ulm"}' },
    ]);
    expect(calls[0]!.toolCallId).not.toBe(calls[1]!.toolCallId);
  });

  test("hand on arguments that are no JSON, for the AI SDK to tell the model", async () => {
    lmStudio.replies.set({ toolCalls: [{ name: "look", arguments: '{"city": Rome}' }] });
    const calls = (await partsOf()).filter((part) => part.type === "tool-call");
    expect(calls).toMatchObject([{ input: '{"city": Rome}' }]);
  });

  test("end with usage, reason and metadata", async () => {
    const counts = { promptTokens: 20, completionTokens: 6, cachedTokens: 15 };
    lmStudio.replies.set({ reasoning: ["Hm"], text: ["Hi"], finishReason: "length", ...counts });
    expect((await partsOf()).at(-1)).toMatchObject({
      type: "finish",
      finishReason: { unified: "length", raw: "length" },
      usage: {
        inputTokens: { total: 20, noCache: 5, cacheRead: 15 },
        outputTokens: { total: 6, text: 5, reasoning: 1 },
        raw: { promptTokens: 20, completionTokens: 6 },
      },
      providerMetadata: { mlxLlmClient: { provider: "lmstudio", retryCount: 0 } },
    });
  });

  test("begin with what is not done as asked", async () => {
    const own = { mlxLlmClient: { repetitionPenalty: 1.1, reasoning: "high" } };
    const [start] = await partsOf({ providerOptions: own, headers: { "x-a": "1" } });
    expect(start).toMatchObject({ type: "stream-start" });
    const { warnings } = start as Extract<Part, { type: "stream-start" }>;
    expect(warnings).toContainEqual(expect.objectContaining({ feature: "headers (x-a)" }));
  });

  test("hold the events of the client where raw ones are wanted", async () => {
    const raw = (await partsOf({ includeRawChunks: true })).filter(({ type }) => type === "raw");
    const types = raw.map((part) => (part as { rawValue: { type: string } }).rawValue.type);
    expect([types[0], types.at(-1)]).toEqual(["start", "finish"]);
    expect(types).toContain("text");
  });

  test("end with an error where the reply breaks off", async () => {
    lmStudio.fault("reset", { at: "mid-stream" });
    const parts = await partsOf();
    expect(typesOf(parts).slice(-3)).toEqual(["text-end", "error", "finish"]);
    expect(parts.at(-2)).toMatchObject({ error: { code: "stream_interrupted" } });
    expect(parts.at(-1)).toMatchObject({ finishReason: { unified: "error" } });
  });
});

test("a call that fails before its first content fails as a whole", async () => {
  lmStudio.fault("status", { status: 401 });
  await expect(llm("m").doStream({ prompt })).rejects.toMatchObject({ statusCode: 401 });
});

test("a stream that nobody wants any more ends the work", async () => {
  lmStudio.fault("silence", { at: "mid-stream" });
  const { stream } = await llm("m").doStream({ prompt });
  await stream.cancel();
  await lmStudio.disconnectCount(1);
});
