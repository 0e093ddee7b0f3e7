import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LLMClient } from "../src/client.js";
import { ConnectionError, ModelNotFoundError, ValidationError } from "../src/errors.js";
import type { LLMConfig } from "../src/types.js";
import { type FakeLmStudio, startFakeLmStudio } from "./servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "./servers/fake-ollama.js";
import { closedPort } from "./servers/ports.js";

let home: string;
let ollama: FakeOllama;
let lmStudio: FakeLmStudio;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "show-"));
  ollama = await startFakeOllama();
  lmStudio = await startFakeLmStudio();
});
afterEach(async () => {
  await Promise.all([ollama.close(), lmStudio.close()]);
  await rm(home, { recursive: true });
});

const clientOf = (config: LLMConfig) =>
  new LLMClient(config, { env: { HOME: home }, cwd: home, configFile: false });

const ofAll = (ollamaUrl = ollama.url): LLMConfig => ({
  provider: "ollama",
  baseUrl: ollamaUrl,
  fallbackConfigs: [{ provider: "mlx" }, { provider: "lmstudio", baseUrl: lmStudio.url }],
});

test("Ollama tells what is in /api/show", async () => {
  await using client = clientOf({ provider: "ollama", baseUrl: ollama.url });
  const [listed] = await client.listModels();
  const shown = await client.showModel(listed!.id);
  expect(shown).toMatchObject({ id: listed!.id, provider: "ollama", hasTemplate: true });
  expect(shown.parameters).toBeGreaterThan(0);
  expect(shown.size).toBe(listed!.size);
});

test("LM Studio tells what its list has", async () => {
  await using client = clientOf({ provider: "lmstudio", baseUrl: lmStudio.url });
  const [listed] = await client.listModels();
  expect(await client.showModel(listed!.id)).toEqual(expect.objectContaining({ id: listed!.id }));
});

test("whoever knows the model tells of it", async () => {
  await using client = clientOf(ofAll());
  expect((await client.showModel("demo")).provider).toBe("mlx");
  const studio = clientOf({ provider: "lmstudio", baseUrl: lmStudio.url });
  const [{ id } = { id: "" }] = await studio.listModels();
  await studio.close();
  expect((await client.showModel(id)).provider).toBe("lmstudio");
});

test("a server that is down does not keep others from telling", async () => {
  await using client = clientOf(ofAll(`http://127.0.0.1:${await closedPort()}`));
  expect((await client.showModel("demo")).provider).toBe("mlx");
  await expect(client.showModel("org/nosuch")).rejects.toBeInstanceOf(ModelNotFoundError);
});

test("where nobody can be asked the first failure is told", async () => {
  const baseUrl = `http://127.0.0.1:${await closedPort()}`;
  await using client = clientOf({ provider: "ollama", baseUrl });
  await expect(client.showModel("x")).rejects.toBeInstanceOf(ConnectionError);
});

test("a folder is a matter of MLX alone", async () => {
  await using client = clientOf(ofAll());
  const folder = join(__dirname, "fixtures/models/llama");
  expect(await client.showModel(folder)).toMatchObject({ provider: "mlx", family: "llama" });
  expect(ollama.requests).toEqual([]);
});

test("what a provider cannot remove is refused by name", async () => {
  await using client = clientOf({ provider: "ollama", baseUrl: ollama.url });
  const failing = client.removeModel("x");
  await expect(failing).rejects.toBeInstanceOf(ValidationError);
  await expect(failing).rejects.toThrow('Provider "ollama" does not support removing a model.');
});

test("only MLX takes a file, or nothing but what is there", async () => {
  await using client = clientOf({ provider: "ollama", baseUrl: ollama.url });
  for (const options of [{ file: "a.gguf" }, { offline: true }]) {
    await expect(client.pullModel("x", options).next()).rejects.toBeInstanceOf(ValidationError);
  }
  expect(ollama.requests).toEqual([]);
});
