import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

describe("the builds of genuine servers", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "build "));
    for (const part of ["scripts", "test/servers"]) {
      cpSync(join(__dirname, "../..", part), join(folder, part), { recursive: true });
    }
    mkdirSync(join(folder, "programs"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Builds on a machine that has programs of these names only; all of them succeed. */
  function build(script: string, programs: string[], ...flags: string[]) {
    for (const name of programs) {
      writeFileSync(join(folder, "programs", name), "#!/bin/sh\n", { mode: 0o755 });
    }
    return spawnSync(process.execPath, [join(folder, "test/servers", script), ...flags], {
      env: { PATH: join(folder, "programs") },
      encoding: "utf8",
    });
  }

  test.each([
    ["build-ollama.mjs", [], "go is missing"],
    ["build-ollama.mjs", ["go"], "a C++ compiler is missing"],
    ["build-ollama.mjs", ["go", "c++"], "the headers of nlohmann-json3-dev are missing"],
    ["build-mlx-lm.mjs", [], "python3 is missing or older than 3.11"],
  ])("%s with %j says: %s", (script, programs, reason) => {
    const { status, stderr } = build(script, programs);
    expect(stderr).toContain(reason);
    expect(stderr).not.toContain("    at ");
    expect(status).toBe(1);
  });

  test("are no failure where they are optional, and leave the reason for the skipped tests", () => {
    const { status, stderr } = build("build-ollama.mjs", [], "--optional");
    expect([status, stderr]).toEqual([
      0,
      expect.stringContaining("skipped: tests with a genuine Ollama"),
    ]);
    const reason = join(folder, ".cache/ollama/0.17.4/unavailable.txt");
    expect(readFileSync(reason, "utf8")).toContain("go is missing");
  });
});
