// The Python with mlx-lm that the benchmarks compare with.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { probe, root, run, say } from "../scripts/native/tools.mjs";

const requirements = join(root, "scripts", "requirements-oracle.txt");

/** The interpreter asked for, else one of our own with the pinned packages, installed at first use. */
export function findPython(wanted = process.env.LLM_CLIENT_ORACLE_PYTHON) {
  if (!wanted) return environment("oracle", requirements);
  if (probe(wanted, ["-c", "import mlx_lm"]) === undefined)
    throw new Error(`${wanted} cannot import mlx_lm; it needs scripts/requirements-oracle.txt`);
  return wanted;
}

/** The interpreter of bench/plot.py. */
export function findPlotPython() {
  return environment("plot", join(root, "bench", "requirements-plot.txt"));
}

/** The interpreter of a virtual environment in .cache/ with the packages of a file. */
function environment(name, file) {
  const venv = join(root, ".cache", name);
  const python = join(venv, "bin", "python3");
  const stamp = join(venv, "installed.txt");
  const pinned = readFileSync(file, "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === pinned) return python;
  say(`bench: installing the packages of ${basename(file)} into .cache/${name}`);
  rmSync(venv, { recursive: true, force: true });
  run("python3", ["-m", "venv", venv], { purpose: "making a virtual environment" });
  run(python, ["-m", "pip", "install", "--quiet", "--requirement", file], {
    purpose: `installing the packages of ${basename(file)}`,
  });
  writeFileSync(stamp, pinned);
  return python;
}

/** The folders of bench checkpoints by name, written at first use. */
export function benchModels(python) {
  const folder = join(root, ".cache", "bench");
  const names = [
    "llama-4x64",
    "llama-6x128",
    "llama-8x256",
    "qwen3_moe-6x128",
    "qwen3_5-8x128",
    "llama-12x1024",
  ];
  if (!names.every((name) => existsSync(join(folder, name, "config.json")))) {
    say("bench: writing the checkpoints into .cache/bench");
    run(python, [join(root, "bench", "make-models.py"), folder], {
      purpose: "bench/make-models.py",
    });
  }
  return Object.fromEntries(names.map((name) => [name, join(folder, name)]));
}

/** Starts bench/reference.py; `ask` sends it one request and waits for the answer. */
export function startReference(python) {
  const child = spawn(python, [join(root, "bench", "reference.py")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  // It may have ended, which `ask` notices by the missing answer.
  child.stdin.on("error", () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done) throw new Error("bench/reference.py has ended; its message is above");
    return JSON.parse(value);
  };
  return { ask, close: () => child.stdin.end() };
}
