import { type GenuineOllama, describeOllama, startOllama } from "./ollama.js";
import { RECORDINGS, REFUSALS, ask, killedWhileSinging, steady } from "./recordings.js";
import { ANSWER } from "./scripted-model.js";
import { readWireFixture } from "./wire-fixtures.js";

const recorded = (file: string) => readWireFixture(`ollama/0.17.4/${file}`).toString();

describeOllama("a genuine Ollama", () => {
  let server: GenuineOllama;

  beforeAll(async () => {
    server = await startOllama({ OLLAMA_CONTEXT_LENGTH: "512" });
  }, 90_000);
  afterAll(() => server?.stop());

  test("lists its models", async () => {
    const { text } = await ask(server.url, { path: "/api/tags" });
    const { models } = JSON.parse(text) as { models: { name: string }[] };
    expect(models.map(({ name }) => name).sort()).toEqual([
      "tiny-thinking:latest",
      "tiny-tools:latest",
      "tiny:latest",
    ]);
  });

  test("generates what its model was made to say", async () => {
    const messages = [{ role: "user", content: "What is the weather?" }];
    const body = { model: server.model, messages, stream: false };
    const { text } = await ask(server.url, { path: "/api/chat", body });
    expect(JSON.parse(text)).toMatchObject({ done: true, message: { content: ANSWER } });
  }, 60_000);

  test.each(RECORDINGS.filter(({ file }) => file.startsWith("chat") || file.startsWith("v1-chat")))(
    "still says $file as it was recorded",
    async (recording) => {
      const { text } = await ask(server.url, recording);
      expect(steady(text)).toBe(steady(recorded(recording.file)));
    },
    60_000,
  );

  test("says in its stream that the model died, as it was recorded", async () => {
    const text = await killedWhileSinging(server, "/api/chat");
    const last = (lines: string) => lines.trimEnd().split("\n").at(-1);
    expect(last(text)).toBe(last(recorded("chat-runner-died.ndjson")));
  }, 60_000);

  test("still refuses as it was recorded", async () => {
    const errors: Record<string, unknown> = {};
    for (const [name, refusal] of Object.entries(REFUSALS)) {
      errors[name] = await ask(server.url, refusal);
    }
    expect(errors).toEqual(JSON.parse(recorded("errors.json")));
  }, 60_000);
});
