import { execFileSync } from "node:child_process";
import {
  constants,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(__dirname, "../..");
const platform = `${process.platform}-${process.arch}`;
const addon = "mlx-llm-client.node";
const built = [join(root, "prebuilds", platform), join(root, "build", "Release")].find((folder) =>
  existsSync(join(folder, addon)),
);
const bundled = built !== undefined && readdirSync(built).some((file) => /^libmlx\./.test(file));
const describeBuilt = bundled ? describe : describe.skip;
const reason = bundled ? "" : " (skipped: no addon with MLX beside it; run npm run build:native)";

describeBuilt(`the folder with the addon${reason}`, () => {
  let moved: string;

  beforeAll(() => {
    moved = mkdtempSync(join(tmpdir(), "moved addon "));
    cpSync(built ?? "", moved, { recursive: true, mode: constants.COPYFILE_FICLONE });
  });
  afterAll(() => rmSync(moved, { recursive: true }));

  function inNewProcess(code: string): string {
    const { LD_LIBRARY_PATH: _, DYLD_LIBRARY_PATH: __, ...env } = process.env;
    return execFileSync(process.execPath, ["-e", code, join(moved, addon)], {
      cwd: tmpdir(),
      env,
      encoding: "utf8",
    });
  }

  test("loads after it was moved", () => {
    const version = inNewProcess("console.log(require(process.argv[1]).version().mlx)");
    expect(version.trim()).toBe("0.32.2");
  });

  const testLinux = process.platform === "linux" ? test : test.skip;
  testLinux("takes every library of MLX from itself (Linux only: read from /proc)", () => {
    const maps = inNewProcess(
      "require(process.argv[1]); console.log(require('fs').readFileSync('/proc/self/maps', 'utf8'))",
    );
    const libraries = readdirSync(moved).filter((file) => /\.so[.0-9]*$/.test(file));
    expect(libraries).toContain("libmlx.so");
    for (const library of libraries) {
      expect(maps).toContain(join(moved, library));
    }
    const loaded = maps.match(/\/.*lib(mlx|blas|lapack|gfortran|quadmath)[^/\n]*$/gm) ?? [];
    expect(loaded.filter((path) => !path.startsWith(moved))).toEqual([]);
  });

  test("names no folder of the machine that built it", () => {
    expect(readFileSync(join(moved, addon)).includes(root)).toBe(false);
  });
});
