// Compiles the addon for Apple silicon on any machine, against MLX's wheel for macOS, and checks what
// comes out. The addon that is published is built on a Mac: this one only shows early that it can be.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { buildMlxC, describeDependencies, fetchMlx } from "./native/dependencies.mjs";
import { buildLlguidance } from "./native/llguidance.mjs";
import { BuildError, main, missingTool, root, run, say, works } from "./native/tools.mjs";

const cache = join(root, ".cache", "macos");
const venv = join(cache, "venv");
const python = join(venv, "bin", "python3");
const TARGET = "aarch64-macos.14.0";
const RUST_TARGET = "aarch64-apple-darwin";

main(() => {
  const started = performance.now();
  if (!works("cmake", ["--version"])) throw missingTool("cmake", "to build the addon");
  installTools();
  const toolchain = writeToolchain();
  const goal = {
    platform: "darwin",
    arch: "arm64",
    cache,
    options: [`-DCMAKE_TOOLCHAIN_FILE=${toolchain}`],
  };
  const { cmakeFolder, runtimeFiles } = fetchMlx(goal);
  const mlxC = buildMlxC(cmakeFolder, goal);
  const llguidance = buildForMac(goal);
  const addon = buildAddon(goal, { mlx: cmakeFolder, mlxC, llguidance, runtimeFiles });
  say(run(python, [join(root, "scripts", "check_macos.py"), addon]).trimEnd());
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  say(`macOS: the addon compiles, links and looks right, ${seconds} s`);
});

/** Zig brings clang with the headers of macOS, LIEF reads what comes out. */
function installTools() {
  const wanted = readFileSync(join(root, "scripts", "requirements-macos.txt"), "utf8");
  const stamp = join(venv, "installed.txt");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  say("macOS: installing Zig's clang and LIEF with pip");
  rmSync(venv, { recursive: true, force: true });
  if (!works("python3", ["-m", "venv", venv])) throw missingTool("python3 with pip", "for Zig");
  const requirements = join(root, "scripts", "requirements-macos.txt");
  run(python, ["-m", "pip", "install", "--quiet", "--requirement", requirements]);
  writeFileSync(stamp, wanted);
}

function writeToolchain() {
  const programs = join(cache, "bin");
  mkdirSync(programs, { recursive: true });
  const zig = run(python, ["-c", "import ziglang; print(ziglang.__path__[0] + '/zig')"]).trim();
  const script = (name, text) => {
    const file = join(programs, name);
    writeFileSync(file, `#!/bin/sh\n${text}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  const call = (name, command) => script(name, `exec "${zig}" ${command} "$@"`);
  const lines = [
    "set(CMAKE_SYSTEM_NAME Darwin)",
    "set(CMAKE_SYSTEM_PROCESSOR arm64)",
    `set(CMAKE_C_COMPILER "${call("cc", `cc -target ${TARGET}`)}")`,
    `set(CMAKE_CXX_COMPILER "${call("c++", `c++ -target ${TARGET}`)}")`,
    `set(CMAKE_AR "${call("ar", "ar")}")`,
    `set(CMAKE_RANLIB "${call("ranlib", "ranlib")}")`,
    // Only used while installing, where nothing needs it.
    `set(CMAKE_INSTALL_NAME_TOOL "${script("install_name_tool", "")}")`,
    'set(CMAKE_OSX_SYSROOT "")',
    // Apple's <complex> brings it along, on which MLX's headers rely.
    'set(CMAKE_CXX_FLAGS_INIT "-include cmath")',
  ];
  // CMake knows this of the Mac that it runs on.
  const rules = join(cache, "rules.cmake");
  writeFileSync(rules, 'set(CMAKE_SHARED_LIBRARY_RUNTIME_C_FLAG "-Wl,-rpath,")\n');
  lines.push(`set(CMAKE_USER_MAKE_RULES_OVERRIDE "${rules}")`);
  const file = join(cache, "toolchain.cmake");
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}

/** Where Rust cannot make code for macOS, the addon is checked without llguidance. */
function buildForMac(goal) {
  const installed =
    works("cargo", ["--version"]) && works("rustup", ["target", "add", RUST_TARGET]);
  if (!installed) {
    say(`macOS: without llguidance, because rustup cannot add ${RUST_TARGET}`);
    return undefined;
  }
  // The crate also makes a library that is loaded on its own. Nobody uses it, so nobody links it.
  const linker = join(cache, "bin", "no-linker");
  writeFileSync(linker, '#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\n: > "$2"\n');
  chmodSync(linker, 0o755);
  return buildLlguidance(cache, join(cache, "licences"), {
    ...goal,
    target: RUST_TARGET,
    env: {
      MACOSX_DEPLOYMENT_TARGET: "14.0",
      CARGO_TARGET_AARCH64_APPLE_DARWIN_LINKER: linker,
    },
  });
}

function buildAddon({ options }, found) {
  const dependencies = join(cache, "dependencies.cmake");
  writeFileSync(dependencies, describeDependencies(found));
  const headers = ["node-api-headers/include", "node-addon-api"];
  const build = join(cache, "build");
  say("macOS: building the addon");
  run("cmake", [
    ...["-S", root, "-B", build, "-Wno-dev", "-DCMAKE_BUILD_TYPE=Release", ...options],
    `-DDEPENDENCIES_FILE=${dependencies}`,
    `-DCMAKE_JS_INC=${headers.map((path) => join(root, "node_modules", path)).join(";")}`,
    // As cmake-js does on a Mac: the process that loads the addon has Node-API.
    "-DCMAKE_SHARED_LINKER_FLAGS=-undefined dynamic_lookup",
    `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(build, "Release")}`,
  ]);
  run("cmake", ["--build", build, "--parallel", String(Math.min(availableParallelism(), 8))], {
    purpose: "Building the addon for macOS",
  });
  const folder = join(build, "Release");
  if (!readdirSync(folder).includes("mlx.metallib"))
    throw new BuildError("mlx.metallib is missing");
  return folder;
}
