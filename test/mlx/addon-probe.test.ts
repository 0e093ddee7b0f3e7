import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { probeAddon } from "../../src/mlx/addon-probe.js";
import { describeNative } from "../helpers/native.js";

jest.setTimeout(60_000);

const hasCompiler = spawnSync("cc", ["--version"]).status === 0;
const testCompiled = hasCompiler ? test : test.skip;

describeNative("probing the addon", (addon) => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "addon-"));
    file = join(folder, "build", "Release", "mlx-llm-client.node");
    mkdirSync(join(folder, "build", "Release"), { recursive: true });
  });
  afterEach(() => {
    delete process.env.MLX_LLM_CLIENT_PREBUILD;
    rmSync(folder, { recursive: true });
  });

  test("tells versions, device and memory", async () => {
    const probe = await probeAddon();
    expect(probe).toMatchObject({
      facts: { ...addon.version(), device: addon.device(), memoryLimit: expect.any(Number) },
    });
  });

  test("reports garbage with the reason of the system, and how to get another", async () => {
    process.env.MLX_LLM_CLIENT_PREBUILD = folder;
    writeFileSync(file, "not a library");
    expect(await probeAddon()).toMatchObject({
      problem: {
        reason: "load-failed",
        message: expect.stringMatching(/does not load: .*mlx-llm-client\.node/s),
        hint: expect.stringContaining("npm run build:native"),
      },
    });
  });

  testCompiled("survives an addon that aborts while it is loaded (needs cc)", async () => {
    process.env.MLX_LLM_CLIENT_PREBUILD = folder;
    compile(
      `#include <stdio.h>
      #include <stdlib.h>
      __attribute__((constructor)) static void begin(void) { fputs("no device\\n", stderr); abort(); }`,
      file,
    );
    expect(await probeAddon()).toMatchObject({
      problem: {
        reason: "load-failed",
        message: expect.stringContaining("it ended the process that loaded it: SIGABRT, no device"),
      },
    });
  });

  testCompiled("reports a library that is no addon (needs cc)", async () => {
    process.env.MLX_LLM_CLIENT_PREBUILD = folder;
    compile("int nothing;", file);
    expect(await probeAddon()).toMatchObject({
      problem: { message: expect.stringContaining("did not self-register") },
    });
  });

  test("says that there is none, and how to get it", async () => {
    process.env.MLX_LLM_CLIENT_PREBUILD = folder;
    expect(await probeAddon()).toMatchObject({
      problem: { reason: "binary-missing", hint: expect.stringContaining("build:native") },
    });
  });
});

function compile(source: string, file: string): void {
  const options = ["-x", "c", "-", "-shared", "-fPIC", "-o", file];
  const { status, stderr } = spawnSync("cc", options, { input: source, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
}
