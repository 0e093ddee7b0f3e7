import { type FakeOllama, startFakeOllama } from "./fake-ollama.js";
import { RECORDINGS, REFUSALS, type RecordedReply, ask, steady } from "./recordings.js";
import { ANSWER, THOUGHT, TOOL_CALL } from "./scripted-model.js";
import { type ScriptedReply, spoken } from "./scripted-replies.js";
import { shapeOf } from "./shape.js";
import { readWireFixture } from "./wire-fixtures.js";

const WORDS = ["Hello", " from", " a", " tiny", " model", " ", "\u{1F426}", "."];
const recorded = (file: string) => readWireFixture(`ollama/0.17.4/${file}`).toString();
const ERRORS = JSON.parse(recorded("errors.json")) as Record<string, RecordedReply>;

/** Speaks as the scripted model does. */
function asScriptedModel(body: Record<string, unknown>): ScriptedReply {
  const counted = { promptTokens: 10, completionTokens: 12 };
  if (body.model === "tiny-tools")
    return { ...counted, toolCalls: [TOOL_CALL], completionTokens: 9 };
  if (body.model === "tiny-thinking") {
    return {
      ...counted,
      reasoning: ["Someone", " greets", " me"],
      text: WORDS,
      completionTokens: 17,
    };
  }
  const content = (body.messages as { content: string }[]).at(-1)?.content ?? "";
  // A token for each character.
  if (content.length > 10) counted.promptTokens = content.length + 8;
  if (content !== "sing") return { ...counted, text: WORDS };
  return { text: ["la", " di", " da", "la", " di", " da"], promptTokens: 12 };
}

describe("a fake Ollama", () => {
  let fake: FakeOllama;

  beforeAll(async () => {
    fake = await startFakeOllama({ contextLength: 512 });
    fake.replies.set(asScriptedModel);
  });
  afterAll(() => fake.close());

  // The counts of these follow from a real tokenizer, the probabilities from real weights.
  const only = ["tags.json", "show.json", "ps.json", "embed.json", "v1-models.json"];
  const shapes = [...only, "chat-logprobs.ndjson"];
  const exact = RECORDINGS.filter(
    ({ file }) => !shapes.includes(file) && file !== "chat-thinking-format.ndjson",
  );

  test.each(exact)("says $file as the genuine one did", async (recording) => {
    if (recording.file.startsWith("ps")) fake.models.unload("tiny");
    const { text } = await ask(fake.url, recording);
    expect(steady(text)).toBe(steady(recorded(recording.file)));
  });

  test.each(RECORDINGS.filter(({ file }) => shapes.includes(file)))(
    "answers $file in the shape of the genuine one",
    async (recording) => {
      if (recording.file === "ps.json") fake.models.load("tiny", {});
      const { text } = await ask(fake.url, recording);
      const first = (body: string) => JSON.parse(body.split("\n")[0]!) as unknown;
      const wanted = shapeOf(first(recorded(recording.file))) as Record<string, unknown>;
      // Most of what is shown of a model is of no use here.
      const { capabilities, details, modified_at } = wanted;
      const part = recording.file === "show.json" ? { capabilities, details, modified_at } : wanted;
      expect(shapeOf(first(text))).toMatchObject(part);
    },
  );

  test.each(Object.entries(REFUSALS))(
    "refuses %s as the genuine one did",
    async (name, refusal) => {
      const reply = await ask(fake.url, refusal);
      expect(reply).toEqual({ ...ERRORS[name], contentType: reply.contentType });
      expect(reply.contentType?.split(";")[0]).toBe(ERRORS[name]?.contentType?.split(";")[0]);
    },
  );

  test("replays a recording byte by byte", async () => {
    fake.replies.once({ recording: "0.17.4/chat-runner-died.ndjson" });
    const { text } = await ask(fake.url, RECORDINGS.find(({ file }) => file === "chat.ndjson")!);
    expect(text).toBe(recorded("chat-runner-died.ndjson"));
  });

  test("cuts a prompt silently, and says so only in its counts", async () => {
    const long = [{ role: "user", content: "x".repeat(9000) }];
    fake.replies.once({ text: ["short"] });
    const body = { model: "tiny", messages: long, stream: false };
    const { text } = await ask(fake.url, { path: "/api/chat", body });
    expect(JSON.parse(text)).toMatchObject({ prompt_eval_count: 512 });
  });

  test("stops at a stop text and at a number of tokens", () => {
    const limits = { stop: [" tiny"] };
    expect(spoken({ text: WORDS }, limits).text.join("")).toBe(ANSWER.split(" tiny")[0]);
    const cut = spoken({ reasoning: [THOUGHT], text: WORDS }, { maxTokens: 3 });
    expect(cut).toMatchObject({ text: ["Hello", " from"], finishReason: "length" });
  });

  test("pulls a model step by step, and says when there is none", async () => {
    const pull = (model: string) => ask(fake.url, { path: "/api/pull", body: { model } });
    expect((await pull("brand-new")).text.trim().split("\n").at(-1)).toBe('{"status":"success"}');
    expect(fake.models.find("brand-new")).toBeDefined();
    const failed = await pull("missing-model");
    expect(failed).toMatchObject({ status: 200 });
    expect(failed.text).toContain('{"error":"pull model manifest: file does not exist"}\n');
  });

  test("is slow to send headers while it loads a model", async () => {
    const slow = await startFakeOllama({ loadMs: 100 });
    const body = { model: "tiny", messages: [{ role: "user", content: "hi" }] };
    const started = Date.now();
    await ask(slow.url, { path: "/api/chat", body });
    expect(Date.now() - started).toBeGreaterThanOrEqual(95);
    expect(slow.models.isLoaded("tiny")).toBe(true);
    await slow.close();
  });
});
