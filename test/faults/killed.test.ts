import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bytes, HubFolders, modelFiles } from "../helpers/hub-folders.js";
import { fixtureFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { CLI, runCli } from "../helpers/run-cli.js";
import { makeTalkingModel } from "../helpers/talking-model.js";

jest.setTimeout(120_000);

const KILLS = 6;

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "killed-"));
});
afterEach(() => rm(scratch, { recursive: true }));

/** Starts a command several times, and kills it each time a bit later. */
async function killOften(args: string[], env: Record<string, string>, longest: number) {
  for (let kill = 1; kill <= KILLS; kill++) {
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { PATH: process.env.PATH, ...env },
      stdio: "ignore",
    });
    const ended = once(child, "exit");
    await Promise.race([ended, sleep((longest * kill) / KILLS)]);
    child.kill("SIGKILL");
    await ended;
  }
}

/** How long a command takes here. */
async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const startedAt = performance.now();
  const result = await work();
  return { result, ms: performance.now() - startedAt };
}

test("a pull that was killed anywhere is completed by the next", async () => {
  const weights = bytes(300_000);
  const files = { ...modelFiles(), "model.safetensors": weights };
  const folders = await HubFolders.create({ "org/tiny": { files } });
  try {
    folders.hub.pace = 300_000;
    await killOften(["pull", "org/tiny"], folders.env, 1200);
    const { code, stdout, stderr } = await runCli(["pull", "org/tiny"], { env: folders.env });
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    expect(await readFile(join(stdout.trim(), "model.safetensors"))).toEqual(weights);
    const left = (await readdir(scratchOf(stdout), { recursive: true })) as string[];
    expect(left.filter((name) => name.endsWith(".incomplete"))).toEqual([]);
  } finally {
    await folders.remove();
  }
});

/** The folder of a repository in the cache, from that of a commit. */
function scratchOf(snapshot: string): string {
  return join(snapshot.trim(), "..", "..");
}

describeNative("what was killed anywhere", () => {
  test("is converted by the next, with the same weights", async () => {
    const env = { HOME: scratch };
    const convert = (name: string) => ["convert", fixtureFolder("qwen3-wide"), join(scratch, name)];
    const whole = await timed(() => runCli([...convert("whole"), "--quantize", "4"], { env }));
    expect(whole.result.code).toBe(0);
    const target = join(scratch, "target");
    await killOften([...convert("target"), "--quantize", "4"], env, whole.ms * 1.1);
    // What has its name is whole, and only then is it in the way.
    await rm(target, { recursive: true, force: true });
    expect((await runCli([...convert("target"), "--quantize", "4"], { env })).code).toBe(0);
    const [one, other] = await Promise.all(
      ["whole", "target"].map((name) => readFile(join(scratch, name, "model.safetensors"))),
    );
    expect(one!.equals(other!)).toBe(true);
  });

  test("has left no prompt cache that misleads the next", async () => {
    const model = await makeTalkingModel(join(scratch, "model"));
    const folder = join(scratch, "kept");
    const prompt = "A long story. ".repeat(10);
    const ask = (...flags: string[]) => {
      const common = ["-m", model, "-t", "0", "--max-tokens", "8", ...flags];
      return ["generate", "-p", "mlx", ...common, prompt];
    };
    const env = { HOME: scratch };
    const plain = await timed(() => runCli(ask(), { env }));
    const kept = ask("--prompt-cache-folder", folder);
    await killOften(kept, env, plain.ms * 1.1);
    for (let run = 0; run < 2; run++) {
      const { code, stdout } = await runCli(kept, { env });
      expect([code, stdout]).toEqual([0, plain.result.stdout]);
    }
  });
});
