import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MLX_VERSION, wheelFor } from "../../scripts/native/platforms.mjs";

const canBuild = wheelFor(process.platform, process.arch) !== undefined;
const describeHere = canBuild ? describe : describe.skip;
const reason = canBuild ? "" : " (skipped: the addon is not built on this platform)";

describeHere(`the native build${reason}`, () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "build "));
    cpSync(join(__dirname, "../../scripts"), join(folder, "scripts"), { recursive: true });
    mkdirSync(join(folder, "node_modules", "cmake-js"), { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Builds with programs of these names, all of which do nothing and succeed. */
  function buildWith(...programs: string[]) {
    const path = join(folder, "programs");
    mkdirSync(path);
    for (const name of programs) writeFileSync(join(path, name), "#!/bin/sh\n", { mode: 0o755 });
    return spawnSync(process.execPath, [join(folder, "scripts", "build-native.mjs")], {
      env: { PATH: path },
      encoding: "utf8",
    });
  }

  test.each([
    ["cmake", "to build the addon", "apt-get install cmake", []],
    ["a C++ compiler", "to build the addon", "apt-get install g++ make", ["cmake"]],
    ["a C++ compiler", "to build the addon", "xcode-select --install", ["cmake", "g++"]],
    [
      "python3 with pip",
      `to fetch ${wheelFor(process.platform, process.arch)?.package} ${MLX_VERSION}`,
      "apt-get install python3-pip",
      ["cmake", "c++", "make"],
    ],
  ])("says that %s is missing %s, and how to get it: %s", (tool, purpose, advice, programs) => {
    const { status, stderr } = buildWith(...programs);
    expect(stderr).toContain(`${tool} is missing; it is needed ${purpose}.`);
    expect(stderr).toContain(advice);
    expect(stderr).not.toContain("    at ");
    expect(status).toBe(1);
  });

  test("says that cargo is missing, how to get it, and how to do without", () => {
    const wheel = join(
      folder,
      ".cache/native",
      `mlx-${MLX_VERSION}-${process.platform}-${process.arch}`,
    );
    const licences = join(wheel, `mlx-${MLX_VERSION}.dist-info`, "licenses");
    mkdirSync(licences, { recursive: true });
    writeFileSync(join(licences, "LICENSE"), "");
    const { status, stderr } = buildWith("cmake", "c++", "make", "python3");
    expect(stderr).toContain("cargo is missing; it is needed to fetch the sources of mlx-c.");
    expect(stderr).toContain("Or set MLX_C_SOURCE to a folder with mlx-c 0.6.0.");
    expect(status).toBe(1);
  });

  test("says that the npm packages are missing", () => {
    rmSync(join(folder, "node_modules"), { recursive: true });
    const { status, stderr } = buildWith();
    expect(stderr).toBe("The npm packages are missing: npm ci\n");
    expect(status).toBe(1);
  });
});
