import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PullBar } from "../../src/cli/pull-bar.js";
import { type PullCommandOptions, pullCommand } from "../../src/cli/pull.js";
import { DEMO_FOLDER } from "../../src/mlx/model-places.js";
import { FakeIo } from "../helpers/fake-io.js";
import { bytes, HubFolders, modelFiles } from "../helpers/hub-folders.js";
import { describeNative } from "../helpers/native.js";
import { parseCommand } from "../helpers/parse-command.js";
import { CLI, runCli } from "../helpers/run-cli.js";
import { makeTalkingModel } from "../helpers/talking-model.js";
import { TOKEN } from "../servers/fake-hub.js";
import { startFakeOllama } from "../servers/fake-ollama.js";

jest.setTimeout(60_000);

let folders: HubFolders;

beforeEach(async () => {
  folders = await HubFolders.create({ "org/tiny": { files: modelFiles() } });
});
afterEach(() => folders.remove());

const run = (args: string[], options: Parameters<typeof runCli>[1] = {}) =>
  runCli(["pull", ...args], {
    ...options,
    env: { ...folders.env, LLM_CLIENT_RETRY_DELAY: "0.01", ...options.env },
  });

/** A pull that is under way: some bytes of the weights have been sent. */
async function startSlowPull(env: Record<string, string> = {}): Promise<ChildProcess> {
  folders.hub.pace = 100_000;
  const child = spawn(process.execPath, [CLI, "pull", "org/tiny"], {
    env: { PATH: process.env.PATH, ...folders.env, ...env },
    stdio: "ignore",
  });
  while (folders.hub.sent("model.safetensors") < 50_000) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return child;
}

describe("the command line", () => {
  test.each<[string[], Partial<PullCommandOptions>]>([
    [["org/tiny"], { model: "org/tiny", offline: false, json: false }],
    [
      ["org/tiny", "--file", "a.gguf", "--offline", "--json"],
      {
        model: "org/tiny",
        file: "a.gguf",
        offline: true,
        json: true,
        sources: { flags: { provider: "mlx" } },
      },
    ],
    [
      ["-p", "ollama", "qwen3:4b"],
      { model: "qwen3:4b", sources: { flags: { provider: "ollama" } } },
    ],
    [["ollama:qwen3:4b"], { model: "qwen3:4b", sources: { flags: { provider: "ollama" } } }],
  ])("%j", async (args, expected) => {
    const { options } = await parseCommand(pullCommand, args);
    expect(options).toMatchObject(expected);
  });

  test.each([[[]], [["a", "b"]], [["-m", "a", "b"]], [["-p", "ollama", "--file", "a.gguf", "x"]]])(
    "%j is refused",
    async (args) => {
      const { options, refusal } = await parseCommand(pullCommand, args);
      expect(options).toBeUndefined();
      expect(refusal).toContain("error:");
    },
  );
});

test("prints the folder of the model, and on stderr what is done", async () => {
  const { code, stdout, stderr } = await run(["org/tiny"]);
  const folder = folders.folder("org/tiny", "snapshots", folders.hub.commitOf("org/tiny"));
  expect([code, stdout]).toEqual([0, `${folder}\n`]);
  expect(stderr).toContain("downloading model.safetensors\n");
});

test("of the model that came with the package asks nobody", async () => {
  const { code, stdout } = await run(["demo"]);
  expect([code, stdout]).toEqual([0, `${DEMO_FOLDER}\n`]);
  expect(folders.hub.requests).toEqual([]);
});

test("--json prints each step as a line", async () => {
  const { code, stdout, stderr } = await run(["org/tiny", "--json"]);
  expect([code, stderr]).toEqual([0, ""]);
  const steps = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(steps.at(-1)).toMatchObject({ status: "success" });
  expect(steps).toContainEqual(expect.objectContaining({ total: 200_000, completed: 200_000 }));
});

test("a terminal gets one bar over all parts", async () => {
  const io = new FakeIo({ isTTY: true });
  const bar = new PullBar(io.stderr, false);
  await bar.show({ status: "downloading a", digest: "a", total: 1_000_000, completed: 0 });
  await bar.show({ status: "downloading b", digest: "b", total: 3_000_000, completed: 1_000_000 });
  await bar.show({ status: "success" });
  await bar.end();
  expect(io.stderr.text).toContain("25 % | 1.0 MB of 4.0 MB");
  expect(io.stderr.text).toMatch(/\nsuccess\n$/);
});

test("a bar leaves signals to others, and the terminal as it is", async () => {
  const before = process.listenerCount("SIGTERM");
  const io = new FakeIo({ isTTY: true });
  const bar = new PullBar(io.stderr, false);
  await bar.show({ status: "downloading a", digest: "a", total: 1_000_000, completed: 0 });
  expect(process.listenerCount("SIGTERM")).toBe(before);
  // Modes of a terminal outlive a process that is killed.
  expect(io.stderr.text).not.toContain("\x1b[?");
  await bar.end();
});

test.each<[string, string[], Record<string, string>, number, string]>([
  ["a model that is not there", ["org/nosuch"], {}, 5, "has no model"],
  ["a gated model", ["org/gated"], {}, 4, "Accept its terms at"],
  ["a wrong token", ["org/tiny"], { HF_TOKEN: "hf_wrongwrong" }, 4, "refused access"],
  ["no hub", ["org/tiny"], { HF_ENDPOINT: "http://127.0.0.1:1" }, 3, "refused the connection"],
  ["a wrong name", ["../tiny"], {}, 2, "not the name of a model"],
  ["a wrong endpoint", ["org/tiny"], { HF_ENDPOINT: "hub" }, 2, "HF_ENDPOINT"],
  ["a cache that cannot be", ["org/tiny"], { HF_HOME: "/proc" }, 1, "Set HF_HOME or HF_HUB_CACHE"],
  ["nothing offline", ["org/tiny", "--offline"], {}, 5, "this is offline"],
])("%s ends with the code of its kind", async (_, args, env, expected, message) => {
  folders.hub.repositories["org/gated"] = { files: modelFiles(), access: "gated" };
  const { code, stdout, stderr } = await run(args, { env });
  expect([code, stdout]).toEqual([expected, ""]);
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/\n\s+at |hf_wrong/);
});

test("-p ollama lets Ollama download", async () => {
  const ollama = await startFakeOllama();
  try {
    const env = { OLLAMA_BASE_URL: ollama.url };
    const { code, stdout, stderr } = await run(["-p", "ollama", "tiny"], { env });
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toContain("success");
    expect(ollama.requests.some(({ path }) => path === "/api/pull")).toBe(true);
    expect(folders.hub.requests).toEqual([]);
  } finally {
    await ollama.close();
  }
});

describe("a pull that is interrupted", () => {
  test("by Ctrl-C ends with 130 and goes on later", async () => {
    const child = await startSlowPull();
    child.kill("SIGINT");
    expect((await once(child, "close"))[0]).toBe(130);
    await goesOn();
  });

  test("by kill -9 leaves no lock that counts, and goes on later", async () => {
    const child = await startSlowPull();
    child.kill("SIGKILL");
    await once(child, "close");
    expect(await readdir(join(folders.cache, ".locks/models--org--tiny"))).not.toEqual([]);
    await goesOn();
  });

  /** The next pull needs only the rest. */
  async function goesOn() {
    folders.hub.pace = undefined;
    folders.hub.requests.length = 0;
    expect(await run(["org/tiny"])).toMatchObject({ code: 0 });
    expect((await folders.contents("org/tiny"))["model.safetensors"]!.equals(bytes(200_000))).toBe(
      true,
    );
    expect(folders.hub.sent("model.safetensors")).toBeLessThan(200_000);
    const left = (await folders.paths()).filter((path) => /lock|incomplete|tmp/.test(path));
    expect(left).toEqual([]);
  }
});

test("two processes at once download it once", async () => {
  const first = await startSlowPull();
  const second = run(["org/tiny"]);
  const [{ code, stderr }] = await Promise.all([second, once(first, "close")]);
  expect([first.exitCode, code]).toEqual([0, 0]);
  expect(stderr).toContain(`waiting for process ${first.pid} on `);
  expect(folders.hub.sent("model.safetensors")).toBe(200_000);
});

describeNative("a model that was pulled", () => {
  test("is found and generates", async () => {
    const folder = await makeTalkingModel(await mkdtemp(join(tmpdir(), "talking-")));
    const names = await readdir(folder);
    const files = await Promise.all(
      names.map(async (name) => [name, await readFile(join(folder, name))] as const),
    );
    folders.hub.repositories["org/talking"] = {
      files: Object.fromEntries(files),
      access: "private",
    };
    const env = { ...folders.env, HF_TOKEN: TOKEN };
    const args = ["generate", "-p", "mlx", "-m", "org/talking", "--max-tokens", "4", "Hi"];
    const before = await runCli(args, { env });
    expect(before.code).toBe(5);
    expect(before.stderr).toContain('Get it with "llm-client pull org/talking".');
    expect(await run(["org/talking"], { env })).toMatchObject({ code: 0 });
    const after = await runCli(args, { env });
    expect(after).toMatchObject({ code: 0 });
    expect(after.stdout.length).toBeGreaterThan(1);
    await rm(folder, { recursive: true });
  });
});
