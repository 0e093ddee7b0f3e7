// Builds the addon with sanitizers and runs native tests on it: what they find ends the tests.
//   node scripts/sanitize.mjs [--thread] [jest arguments]     the fuzzer of requests unless told
// AddressSanitizer and UndefinedBehaviorSanitizer see wrong accesses, leaks and undefined behaviour,
// ThreadSanitizer (--thread) races.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { prepareDependencies } from "./native/dependencies.mjs";
import { BuildError, main, probe, root, run, say } from "./native/tools.mjs";

const MEMORY = {
  name: "sanitized",
  sanitize: "address,undefined",
  libraries: ["libasan.so", "libubsan.so"],
  command: [],
  env: {
    ASAN_OPTIONS: "detect_leaks=1:exitcode=99",
    LSAN_OPTIONS: `suppressions=${join(root, "scripts", "leaks-of-node.txt")}`,
    UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1:exitcode=99",
  },
};
const THREADS = {
  name: "sanitized-threads",
  sanitize: "thread",
  libraries: ["libtsan.so"],
  // It needs addresses at their usual places.
  command: ["setarch", "-R"],
  env: {
    // Node, MLX and llguidance are made without it: of what they do it would see half.
    TSAN_OPTIONS: "ignore_noninstrumented_modules=1:exitcode=99",
  },
};
const [first, ...others] = process.argv.slice(2);
const mode = first === "--thread" ? THREADS : MEMORY;
const folder = join(root, ".cache", mode.name);

main(() => {
  if (process.platform !== "linux") throw new BuildError("Sanitizers are set up for Linux only");
  build();
  process.exitCode = test(mode === THREADS ? others : process.argv.slice(2));
});

function build() {
  mkdirSync(folder, { recursive: true });
  prepareDependencies({ bundled: true });
  say("addon: building with sanitizers");
  const cmakeJs = join(root, "node_modules", "cmake-js", "bin", "cmake-js");
  const parallel = String(Math.min(availableParallelism(), 8));
  const out = join(folder, "build");
  const options = ["--out", out, `--CDSANITIZE=${mode.sanitize}`, "--parallel", parallel];
  run(process.execPath, [cmakeJs, "build", ...options], { purpose: "Building the addon" });
}

/** Node itself is made without sanitizers, whose libraries must then come before all others. */
function test(tests) {
  const jest = join(root, "node_modules", "jest", "bin", "jest.js");
  const chosen = tests.length > 0 ? tests : ["test/native/batch-fuzz.test.ts"];
  const preloaded = mode.libraries.map(libraryOfCompiler).join(":");
  const node = [`LD_PRELOAD=${preloaded}`, process.execPath, jest, "--runInBand", ...chosen];
  const [program, ...args] = [...mode.command, "env", ...node];
  const { status } = spawnSync(program, args, {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...mode.env, MLX_LLM_CLIENT_PREBUILD: folder },
  });
  return status ?? 1;
}

function libraryOfCompiler(name) {
  const path = probe("g++", [`-print-file-name=${name}`])?.trim();
  if (!path?.includes("/")) throw new BuildError(`The compiler has no ${name}`);
  return path;
}
