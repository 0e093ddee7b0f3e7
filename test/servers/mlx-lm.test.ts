import { type GenuineMlxLmServer, describeMlxLmServer, startMlxLmServer } from "./mlx-lm.js";
import { ask } from "./recordings.js";

describeMlxLmServer("mlx_lm.server", () => {
  let server: GenuineMlxLmServer;

  beforeAll(async () => {
    server = await startMlxLmServer();
  }, 90_000);
  afterAll(() => server?.stop());

  test("lists the folder of its model", async () => {
    const { text } = await ask(server.url, { path: "/v1/models" });
    expect(JSON.parse(text)).toMatchObject({ data: [{ id: server.model, object: "model" }] });
  });

  test("answers a question", async () => {
    const body = { messages: [{ role: "user", content: "What is 7 + 5?" }], max_tokens: 20 };
    const { text } = await ask(server.url, { path: "/v1/chat/completions", body });
    expect(JSON.parse(text)).toMatchObject({
      choices: [{ finish_reason: "stop", message: { content: "7 + 5 = 12." } }],
    });
  }, 60_000);
});
