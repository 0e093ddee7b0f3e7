import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const compiler = process.env.CXX || "c++";
const hasCompiler = spawnSync(compiler, ["--version"]).status === 0;

/** Compiles a program of this folder and runs it. */
function compileAndRun(file: string) {
  const folder = mkdtempSync(join(tmpdir(), "metal-kernels-"));
  const program = join(folder, "program");
  const options = ["-std=c++20", "-O1", "-pthread", "-I", "native", "-o", program];
  try {
    const { status, stderr } = spawnSync(compiler, [...options, join("test/native", file)], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(stderr);
    return spawnSync(program, { encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the kernels for Metal, run on the CPU", () => {
  if (!hasCompiler) {
    test.skip(`are not tested: there is no C++ compiler (${compiler})`, () => {});
    return;
  }

  test("compute what plain loops do", () => {
    const { status, stdout } = compileAndRun("metal_kernels.cpp");
    expect(stdout).toBe("");
    expect(status).toBe(0);
  }, 60_000);
});
