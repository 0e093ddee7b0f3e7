// Builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer and runs native tests on it:
// wrong memory accesses, leaks of the engine and undefined behaviour end them.
//   node scripts/sanitize.mjs [jest arguments]     the fuzzer of requests unless told
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { prepareDependencies } from "./native/dependencies.mjs";
import { BuildError, main, probe, root, run, say } from "./native/tools.mjs";

const folder = join(root, ".cache", "sanitized");
const suppressions = join(root, "scripts", "leaks-of-node.txt");

main(() => {
  if (process.platform !== "linux") throw new BuildError("Sanitizers are set up for Linux only");
  build();
  process.exitCode = test(process.argv.slice(2));
});

function build() {
  mkdirSync(folder, { recursive: true });
  prepareDependencies({ bundled: true });
  say("addon: building with sanitizers");
  const cmakeJs = join(root, "node_modules", "cmake-js", "bin", "cmake-js");
  const parallel = String(Math.min(availableParallelism(), 8));
  const out = join(folder, "build");
  const options = ["--out", out, "--CDSANITIZE=address,undefined", "--parallel", parallel];
  run(process.execPath, [cmakeJs, "build", ...options], { purpose: "Building the addon" });
}

/** Node itself is made without sanitizers, whose libraries must then come before all others. */
function test(tests) {
  const jest = join(root, "node_modules", "jest", "bin", "jest.js");
  const chosen = tests.length > 0 ? tests : ["test/native/batch-fuzz.test.ts"];
  const preloaded = ["libasan.so", "libubsan.so"].map(libraryOfCompiler).join(":");
  const command = [`LD_PRELOAD=${preloaded}`, process.execPath, jest, "--runInBand", ...chosen];
  const { status } = spawnSync("env", command, {
    cwd: root,
    stdio: "inherit",
    env: {
      ...process.env,
      ASAN_OPTIONS: "detect_leaks=1:exitcode=99",
      LSAN_OPTIONS: `suppressions=${suppressions}`,
      UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1:exitcode=99",
      MLX_LLM_CLIENT_PREBUILD: folder,
    },
  });
  return status ?? 1;
}

function libraryOfCompiler(name) {
  const path = probe("g++", [`-print-file-name=${name}`])?.trim();
  if (!path?.includes("/")) throw new BuildError(`The compiler has no ${name}`);
  return path;
}
