// Checks the format and the usual mistakes of TypeScript, JSON (biome) and C++ (clang-format, clang-tidy).
//   --write   formats instead
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { BuildError, main, root, run, say, works } from "./native/tools.mjs";

const write = process.argv.includes("--write");
const requirements = join(root, "scripts", "requirements-lint.txt");
const cache = join(root, ".cache", "lint");
const venv = join(cache, "venv");

main(() => {
  const reason = installClangTools();
  const checks = [biome, ...(reason ? [] : [clangFormat, ...(write ? [] : [clangTidy])])];
  const failures = checks.map(failureOf).filter(Boolean);
  if (reason) say(`skipped: clang-format, clang-tidy (${reason})`);
  if (failures.length > 0) throw new BuildError(failures.join("\n\n"));
});

/** What a check complains about: all of them are run, so that one look tells everything. */
function failureOf(check) {
  try {
    check();
    return undefined;
  } catch (error) {
    if (error instanceof BuildError) return error.message;
    throw error;
  }
}

function biome() {
  const program = join(root, "node_modules", "@biomejs", "biome", "bin", "biome");
  const mode = write ? ["check", "--write"] : ["check", "--error-on-warnings"];
  run(process.execPath, [program, ...mode], { purpose: "biome" });
}

function clangFormat() {
  const mode = write ? ["-i"] : ["--dry-run", "--Werror"];
  run(join(venv, "bin", "clang-format"), [...mode, ...nativeFiles()], { purpose: "clang-format" });
}

function nativeFiles() {
  return readdirSync(join(root, "native"), { recursive: true })
    .filter((file) => /\.(cpp|h)$/.test(file))
    .map((file) => join("native", file))
    .sort();
}

/** Installs the pinned tools into .cache/lint/venv; returns why that is not possible, if so. */
function installClangTools() {
  const wanted = readFileSync(requirements, "utf8");
  const stamp = join(venv, "installed.txt");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return undefined;
  rmSync(venv, { recursive: true, force: true });
  if (!works("python3", ["-m", "venv", venv])) {
    return "python3 cannot make a virtual environment; Debian, Ubuntu: apt-get install python3-venv";
  }
  const pip = ["-m", "pip", "install", "--quiet", "--requirement", requirements];
  if (!works(join(venv, "bin", "python3"), pip)) return "pip cannot fetch them";
  writeFileSync(stamp, wanted);
  return undefined;
}

/** Runs clang-tidy unless the same sources passed before: it takes seconds for each file. */
function clangTidy() {
  if (process.platform !== "linux") {
    say("skipped: clang-tidy (its wheel does not find the headers of macOS)");
    return;
  }
  const database = join(root, "build", "compile_commands.json");
  if (!existsSync(database)) {
    say("skipped: clang-tidy (it needs one native build first: npm run build:native)");
    return;
  }
  const files = nativeFiles();
  const read = [".clang-tidy", "scripts/requirements-lint.txt", ...files];
  const hash = createHash("sha256");
  for (const file of read) hash.update(file).update(readFileSync(join(root, file)));
  const passed = join(cache, "clang-tidy-passed.txt");
  const current = hash.digest("hex");
  if (existsSync(passed) && readFileSync(passed, "utf8") === current) return;

  const sources = files.filter((file) => file.endsWith(".cpp"));
  say(`clang-tidy: ${sources.length} files`);
  const tidyEach = [
    "-P",
    String(availableParallelism()),
    "-n",
    "1",
    join(venv, "bin", "clang-tidy"),
  ];
  run("xargs", [...tidyEach, "--quiet", "-p", "build"], {
    input: sources.join("\n"),
    purpose: "clang-tidy",
  });
  mkdirSync(cache, { recursive: true });
  writeFileSync(passed, current);
}
