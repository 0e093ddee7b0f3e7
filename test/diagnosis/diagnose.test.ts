import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diagnose } from "../../src/diagnosis/diagnose.js";
import { describeNative } from "../helpers/native.js";
import { startFakeLmStudio } from "../servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

jest.setTimeout(60_000);

let home: string;
let ollama: FakeOllama;

beforeAll(async () => {
  ollama = await startFakeOllama({ models: [{ name: "m", capabilities: ["completion"] }] });
});
afterAll(() => ollama.close());
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "diagnosis-"));
});
afterEach(() => {
  delete process.env.MLX_LLM_CLIENT_PREBUILD;
  rmSync(home, { recursive: true });
});

/** Nothing of this machine is asked by chance. */
const sources = (env: NodeJS.ProcessEnv = {}) => ({
  cwd: home,
  env: {
    HOME: home,
    OLLAMA_BASE_URL: ollama.url,
    LMSTUDIO_BASE_URL: "http://127.0.0.1:1",
    ...env,
  },
});

test("servers are asked at the addresses that the configuration gives", async () => {
  const lmStudio = await startFakeLmStudio({ models: [{ id: "one" }] });
  const { healthy, providers } = await diagnose({}, sources({ LMSTUDIO_BASE_URL: lmStudio.url }));
  await lmStudio.close();
  expect(healthy).toBe(true);
  const asked = providers.map(({ provider, url, healthy, version }) => ({
    provider,
    url,
    healthy,
    version,
  }));
  expect(asked.slice(1)).toEqual([
    { provider: "ollama", url: ollama.url, healthy: true, version: expect.any(String) },
    { provider: "lmstudio", url: lmStudio.url, healthy: true, version: undefined },
  ]);
});

test("a server that is down is reported with what to do, also where nobody named it", async () => {
  const { providers } = await diagnose({ provider: "ollama" }, sources());
  expect(providers.map(({ provider }) => provider)).toEqual(["mlx", "ollama", "lmstudio"]);
  expect(providers[2]).toMatchObject({
    healthy: false,
    code: "connection_refused",
    hint: expect.stringContaining("lms server start"),
  });
});

test("a wrong configuration is reported, and the rest is looked at all the same", async () => {
  const file = join(home, "llm_config.json");
  writeFileSync(file, '{ "timeout": "soon" }');
  const diagnosis = await diagnose({}, { ...sources(), env: { HOME: home } });
  expect(diagnosis.misconfigured?.message).toContain("timeout");
  expect(diagnosis.misconfigured?.message).toContain("llm_config.json");
  expect(diagnosis.providers.map(({ provider }) => provider).sort()).toEqual([
    "lmstudio",
    "mlx",
    "ollama",
  ]);
});

test("configuration files and the sizes of caches are told; links count once", async () => {
  writeFileSync(join(home, "llm_config.json"), '{ "timeout": 7 }');
  const blobs = join(home, "hub", "models--a--b", "blobs");
  const snapshot = join(home, "hub", "models--a--b", "snapshots", "1");
  for (const folder of [blobs, snapshot]) mkdirSync(folder, { recursive: true });
  writeFileSync(join(blobs, "x"), Buffer.alloc(1000));
  symlinkSync(join(blobs, "x"), join(snapshot, "model.safetensors"));
  const { files, caches } = await diagnose({}, sources({ HF_HUB_CACHE: join(home, "hub") }));
  expect(files[0]).toEqual({ path: join(home, "llm_config.json"), found: true, used: true });
  expect(caches).toContainEqual({
    name: "the Hugging Face cache",
    folder: join(home, "hub"),
    bytes: 1000,
  });
  expect(caches).toContainEqual({
    name: "LM Studio's models",
    folder: join(home, ".lmstudio", "models"),
  });
});

describeNative("with the addon", (addon) => {
  test("its versions, device and memory are told", async () => {
    const diagnosis = await diagnose({}, sources());
    expect(diagnosis.addon).toMatchObject({ ...addon.version(), device: addon.device() });
    expect(diagnosis.providers[0]).toMatchObject({ provider: "mlx", healthy: true });
  });

  test("a damaged one leaves the servers usable", async () => {
    process.env.MLX_LLM_CLIENT_PREBUILD = home;
    mkdirSync(join(home, "build", "Release"), { recursive: true });
    writeFileSync(join(home, "build", "Release", "mlx-llm-client.node"), "no library");
    const diagnosis = await diagnose({}, sources());
    expect(diagnosis).not.toHaveProperty("addon");
    expect(diagnosis.providers[0]).toMatchObject({
      healthy: false,
      code: "provider_unavailable",
      reason: expect.stringContaining("does not load"),
      hint: expect.stringContaining("build:native"),
    });
    expect(diagnosis.healthy).toBe(true);
  });
});
