import type { ProviderHealth } from "../../src/types.js";
import { checkHealth } from "../../src/ollama/health.js";
import { OllamaServer } from "../../src/ollama/server.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

let fake: FakeOllama;
let server: OllamaServer;

beforeEach(async () => {
  fake = await startFakeOllama();
  server = new OllamaServer({ baseUrl: fake.url, connectTimeout: 3, verifySsl: true });
});

afterEach(async () => {
  await server.close();
  await fake.close();
});

function check(model?: string, signal = new AbortController().signal): Promise<ProviderHealth> {
  return checkHealth(server, model, signal);
}

describe("a server is healthy", () => {
  test("where it has the model, loaded or not", async () => {
    const health = {
      provider: "ollama",
      healthy: true,
      reachable: true,
      authenticated: true,
      model: "tiny",
      modelPresent: true,
      modelLoaded: false,
      url: fake.url,
      version: "0.17.4",
      latencyMs: expect.any(Number),
    };
    expect(await check("tiny")).toEqual(health);
    fake.models.load("tiny", {});
    expect(await check("tiny")).toEqual({ ...health, modelLoaded: true });
  });

  test("with the model that would answer, where none is named", async () => {
    expect(await check()).toMatchObject({ healthy: true, model: "tiny:latest" });
  });
});

describe("a server is not healthy", () => {
  test("without the model", async () => {
    expect(await check("nobody")).toMatchObject({
      healthy: false,
      reachable: true,
      authenticated: true,
      model: "nobody",
      modelPresent: false,
      code: "model_not_found",
      reason: expect.stringContaining("nobody"),
      hint: expect.stringContaining("ollama pull nobody"),
    });
  });

  test("without any model", async () => {
    const empty = await startFakeOllama({ models: [] });
    const other = new OllamaServer({ baseUrl: empty.url, connectTimeout: 3, verifySsl: true });
    expect(await checkHealth(other, undefined, new AbortController().signal)).toMatchObject({
      healthy: false,
      reachable: true,
      modelPresent: false,
      code: "model_not_found",
      hint: expect.stringContaining("ollama pull"),
    });
    await other.close();
    await empty.close();
  });

  test("where nobody listens", async () => {
    fake.fault("connection-refused");
    const health = await check("tiny");
    expect(health).toMatchObject({
      healthy: false,
      reachable: false,
      url: fake.url,
      code: "connection_refused",
      hint: expect.stringContaining("ollama serve"),
    });
    expect(health).not.toHaveProperty("authenticated");
    expect(health).not.toHaveProperty("modelPresent");
  });

  test.each([
    ["unauthorized", { reachable: true, authenticated: false, code: "auth" }],
    ["forbidden-empty", { reachable: true, authenticated: false, code: "auth" }],
    ["html", { reachable: true, code: "protocol" }],
    ["wrong-shape", { reachable: true, code: "protocol" }],
    ["server-error", { reachable: true, code: "server_error" }],
    ["reset", { reachable: false, code: "connection_reset" }],
  ] as const)("for %s", async (fault, expected) => {
    fake.fault(fault, { on: "everything" });
    const health = await check("tiny");
    expect(health).toMatchObject({ healthy: false, reason: expect.any(String), ...expected });
  });

  test("where a later answer is wrong", async () => {
    fake.fault("not-json", { on: "/api/ps" });
    expect(await check("tiny")).toMatchObject({
      healthy: false,
      reachable: true,
      version: "0.17.4",
      modelPresent: true,
      code: "protocol",
    });
  });

  test("for whom nobody waits", async () => {
    expect(await check("tiny", AbortSignal.abort())).toMatchObject({
      healthy: false,
      code: "aborted",
    });
  });
});
