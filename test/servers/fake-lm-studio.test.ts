import { LM_STUDIO_TOKEN, startFakeLmStudio } from "./fake-lm-studio.js";
import type { FakeLmStudio, FakeLmStudioOptions } from "./fake-lm-studio.js";
import { ask } from "./recordings.js";
import { shapeOf } from "./shape.js";
import { readWireFixture } from "./wire-fixtures.js";

const messages = [{ role: "user", content: "hi" }];
const documented = (file: string) => readWireFixture(`lm-studio/0.4/${file}`).toString();

describe("a fake LM Studio", () => {
  let fake: FakeLmStudio;

  async function start(options: FakeLmStudioOptions = {}) {
    fake = await startFakeLmStudio(options);
  }
  afterEach(() => fake.close());

  async function post(path: string, body: object) {
    const { status, text } = await ask(fake.url, { path, body });
    return { status, text, json: JSON.parse(text.startsWith("{") ? text : "null") };
  }
  const chat = (body: object) => post("/v1/chat/completions", { messages, ...body });

  test.each([
    ["/v1/models", "v1-models.json"],
    ["/api/v0/models", "api-v0-models.json"],
    ["/api/v1/models", "api-v1-models.json"],
  ])("answers %s as documented", async (path, file) => {
    await start({ loaded: ["tiny-chat"] });
    const { text } = await ask(fake.url, { path });
    expect(shapeOf(JSON.parse(text))).toEqual(shapeOf(JSON.parse(documented(file))));
  });

  test("loads, unloads, embeds and downloads as documented", async () => {
    await start();
    const steps = [
      ["/api/v1/models/load", { model: "tiny-chat" }, "load.json"],
      ["/api/v1/models/unload", { instance_id: "tiny-chat" }, "unload.json"],
      ["/api/v1/models/download", { model: "brand/new" }, "download.json"],
      ["/v1/embeddings", { model: "text-embedding-tiny", input: "a" }, "embeddings.json"],
    ] as const;
    for (const [path, body, file] of steps) {
      const { json } = await post(path, body);
      expect(shapeOf(json)).toEqual(shapeOf(JSON.parse(documented(file))));
    }
    const path = "/api/v1/models/download/status/job_0000000000";
    const states: unknown[] = [];
    for (let step = 0; step < 2; step++)
      states.push(JSON.parse((await ask(fake.url, { path })).text));
    expect(states).toMatchObject([{ status: "downloading" }, { status: "completed" }]);
    expect(shapeOf(states[1])).toEqual(shapeOf(JSON.parse(documented("download-status.json"))));
    expect(fake.models.find("brand/new")).toBeDefined();
  });

  test.each([
    ["chat.sse", { text: ["Hello", " from", " a", " fake", "."] }, true],
    ["chat-reasoning.sse", { reasoning: ["Someone", " greets me"], text: ["Hello", "."] }, true],
    [
      "chat-tools.sse",
      { toolCalls: [{ name: "get_weather", arguments: { city: "Paris" } }] },
      false,
    ],
  ])("streams %s as documented", async (file, script, include_usage) => {
    await start();
    fake.replies.set({ ...script, promptTokens: 12 });
    const { text } = await chat({
      model: "tiny-chat",
      stream: true,
      stream_options: { include_usage },
    });
    const plain = (body: string) =>
      body.replace(/"id":"chatcmpl-[^"]*"|"created":\d+/g, "").replace(/"arguments":"[^}]*"/g, "");
    expect(plain(text)).toBe(plain(documented(file)));
  });

  test("answers as a whole as documented", async () => {
    await start();
    const { json } = await chat({ model: "tiny-chat" });
    expect(shapeOf(json)).toEqual(shapeOf(JSON.parse(documented("chat.json"))));
  });

  test("lets the only loaded model answer for an unknown one", async () => {
    await start({ loaded: ["tiny-chat"] });
    expect((await chat({ model: "nope" })).json).toMatchObject({ model: "tiny-chat" });
  });

  test.each([
    [{ loaded: ["tiny-chat", "tiny-reasoner"] }, "nope", 400, "model_not_found"],
    [{}, "nope", 400, "model_not_found"],
    [{ justInTime: false }, "tiny-chat", 400, null],
  ])("with %j refuses %s", async (options, model, status, code) => {
    await start(options);
    const reply = await chat({ model });
    expect(reply).toMatchObject({ status, json: { error: { code, param: "model" } } });
  });

  test("drops the model that an earlier request loaded, and keeps what a person loaded", async () => {
    await start();
    await post("/api/v1/models/load", { model: "tiny-vision" });
    await chat({ model: "tiny-chat" });
    await chat({ model: "tiny-reasoner" });
    const loaded = ["tiny-vision", "tiny-chat", "tiny-reasoner"].map((id) =>
      fake.models.isLoaded(id),
    );
    expect(loaded).toEqual([true, false, true]);
  });

  test("answers unknown routes with status 200 and an error", async () => {
    await start({ version: "0.3" });
    for (const path of ["/nope", "/api/v1/models"]) {
      const { status, text } = await ask(fake.url, { path });
      expect([status, text]).toEqual([
        200,
        `{"error":"Unexpected endpoint or method. (GET ${path})"}`,
      ]);
    }
  });

  test("tells a missing token from a made-up one, and takes the right one", async () => {
    await start({ token: LM_STUDIO_TOKEN });
    const texts: string[] = [];
    for (const authorization of [undefined, "Bearer dummy", `Bearer ${LM_STUDIO_TOKEN}`]) {
      const headers = authorization ? { authorization } : undefined;
      const response = await fetch(`${fake.url}/v1/models`, { headers });
      texts.push(`${response.status} ${await response.text()}`);
    }
    expect(texts[0]).toMatch(/^401 .*An LM Studio API token is required/);
    expect(texts[1]).toMatch(/^401 .*Malformed LM Studio API token provided: dummy/);
    expect(texts[2]).toMatch(/^200 /);
  });

  test("reports a prompt that is too long in two ways", async () => {
    await start({ loaded: ["tiny-chat"] });
    const long = { model: "tiny-chat", messages: [{ role: "user", content: "x".repeat(20_000) }] };
    expect(await chat(long)).toMatchObject({ status: 400, json: { error: expect.any(String) } });
    const streamed = await chat({ ...long, stream: true });
    expect(streamed.status).toBe(200);
    expect(streamed.text).toMatch(
      /^event: error\ndata: \{"error":\{"message":"The number of tokens/,
    );
    expect(streamed.text).not.toContain("[DONE]");
  });
});
