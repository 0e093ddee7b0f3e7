import { ModelNotFoundError, ProtocolError } from "../../src/errors.js";
import { OllamaServer } from "../../src/ollama/server.js";
import { failureOf } from "../contracts/provider-contract.js";
import {
  type FakeOllama,
  type FakeOllamaOptions,
  startFakeOllama,
} from "../servers/fake-ollama.js";

const { signal } = new AbortController();
const vector = { name: "vector", capabilities: ["embedding"] };
const chat = { name: "chat", capabilities: ["completion", "tools"] };
const other = { name: "other", capabilities: ["completion"] };

let fake: FakeOllama;
let server: OllamaServer;

async function start(options: FakeOllamaOptions): Promise<void> {
  fake = await startFakeOllama(options);
  server = new OllamaServer({ baseUrl: fake.url, connectTimeout: 3, verifySsl: true });
}

afterEach(async () => {
  await server.close();
  await fake.close();
});

describe("the model for requests that name none", () => {
  test.each(["0.17.4", "0.33.0"] as const)(
    "is the first that can do it, in %s",
    async (version) => {
      await start({ version, models: [vector, chat, other] });
      expect(await server.findModel("completion", signal)).toBe("chat:latest");
      expect(await server.findModel("embedding", signal)).toBe("vector:latest");
      // Newer servers tell with their list what a model can do.
      const shown = fake.requests.filter(({ path }) => path === "/api/show").length;
      expect(shown).toBe(version === "0.33.0" ? 0 : 3);
    },
  );

  test("is one in memory, if that can do it", async () => {
    await start({ models: [vector, chat, other] });
    fake.models.load("vector", {});
    expect(await server.findModel("completion", signal)).toBe("chat:latest");
    fake.models.load("other", {});
    expect(await server.findModel("completion", signal)).toBe("other:latest");
  });

  test("is never one in the cloud", async () => {
    await start({ models: [chat] });
    const cloud = {
      name: "cloud",
      remote_host: "https://ollama.com",
      capabilities: ["completion"],
    };
    const body = JSON.stringify({ models: [cloud] });
    fake.fault("status", { on: "/api/tags", status: 200, body });
    const error = await failureOf(server.findModel("completion", signal));
    expect(error).toBeInstanceOf(ModelNotFoundError);
  });

  test("is none whose files are gone", async () => {
    await start({ version: "0.17.4", models: [other, chat] });
    fake.fault("status", {
      on: "/api/show",
      times: 1,
      status: 404,
      body: '{"error":"model \'other\' not found"}',
    });
    expect(await server.findModel("completion", signal)).toBe("chat:latest");
  });

  test("is not told where the server fails", async () => {
    await start({ version: "0.17.4", models: [chat] });
    fake.fault("status", { on: "/api/show", status: 503, body: '{"error":"server busy"}' });
    const error = await failureOf(server.findModel("completion", signal));
    expect(error.code).toBe("overloaded");
  });

  test("is missing where there is none", async () => {
    await start({ models: [vector] });
    const error = await failureOf(server.findModel("completion", signal));
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error).toMatchObject({
      message: `Ollama at ${fake.url} has no model for completion.`,
      hint: expect.stringContaining("ollama pull"),
    });
  });
});

test.each(["/api", "/api/"])("the address may end with %s", async (end) => {
  await start({});
  const other = new OllamaServer({ baseUrl: fake.url + end, connectTimeout: 3, verifySsl: true });
  expect(other.url).toBe(fake.url);
  expect(await other.version(signal)).toMatch(/\d/);
  await other.close();
});

test("no models may be null", async () => {
  await start({});
  fake.fault("status", { on: "/api/tags", status: 200, body: '{"models":null}' });
  expect(await server.models(signal)).toEqual([]);
});

test.each([
  ["/api/tags", "{}"],
  ["/api/ps", '{"models":{}}'],
  ["/api/version", '{"version":5}'],
  ["/api/version", "[]"],
] as const)("%s must not be %s", async (path, body) => {
  await start({});
  fake.fault("status", { on: path, status: 200, body });
  const ask = { "/api/tags": "models", "/api/ps": "running", "/api/version": "version" } as const;
  const error = await failureOf(server[ask[path]](signal) as Promise<unknown>);
  expect(error).toBeInstanceOf(ProtocolError);
  expect(error).toMatchObject({
    code: "protocol",
    message: `${fake.url}${path} does not answer as Ollama does.`,
    url: fake.url,
  });
});
