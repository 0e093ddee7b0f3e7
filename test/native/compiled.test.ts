import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const compiler = process.env.CXX || "c++";
const hasCompiler = spawnSync(compiler, ["--version"]).status === 0;
const database = "build/compile_commands.json";

/** Options that find the headers and libraries which the addon was built with. */
function buildOptions(): string[] {
  const entries: { file: string; command: string }[] = JSON.parse(readFileSync(database, "utf8"));
  const command = entries.find(({ file }) => file.endsWith("/native/mlx/compiled.cpp"))?.command;
  const headers = [...(command ?? "").matchAll(/-isystem (\S+)/g)].map(([, folder]) => `${folder}`);
  const libraries = headers.map((folder) => join(folder, "..", "lib"));
  return [
    ...headers.flatMap((folder) => ["-isystem", folder]),
    ...libraries.flatMap((folder) => [`-L${folder}`, `-Wl,-rpath,${folder}`]),
  ];
}

/** Compiles a program of this folder with the parts of the addon that speak to MLX, and runs it. */
function compileAndRun(file: string) {
  const folder = mkdtempSync(join(tmpdir(), "compiled-"));
  const program = join(folder, "program");
  const parts = ["array", "compiled", "error", "ops", "stream"];
  const sources = [join("test/native", file), ...parts.map((part) => `native/mlx/${part}.cpp`)];
  const options = ["-std=c++20", "-O0", "-pthread", "-I", "native", ...buildOptions()];
  try {
    const { status, stderr } = spawnSync(
      compiler,
      [...options, ...sources, "-lmlxc", "-lmlx", "-o", program],
      { encoding: "utf8" },
    );
    if (status !== 0) throw new Error(stderr);
    return spawnSync(program, { encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("element-wise functions through MLX's compiler", () => {
  if (!hasCompiler || !existsSync(database)) {
    const reason = hasCompiler ? "the addon was not built here" : `there is no ${compiler}`;
    test.skip(`are not tested: ${reason}`, () => {});
    return;
  }

  test("give the numbers of their ops, and errors of their own", () => {
    const { status, stdout, stderr } = compileAndRun("compiled.cpp");
    expect(stdout + stderr).toBe("");
    expect(status).toBe(0);
  }, 120_000);
});
