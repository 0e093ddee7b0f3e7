// From the start of a process until its model is in memory, and the most memory that it ever takes.
import { spawn } from "node:child_process";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { root, say } from "../scripts/native/tools.mjs";
import { alternate, compared } from "./pairs.mjs";

/** Runs a program that says "ready" and, at its end, what it took. */
async function measure(command, args) {
  const start = performance.now();
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value } = await lines.next();
  const ready = performance.now() - start;
  const { value: memory, done } = await lines.next();
  if (value !== "ready" || done) throw new Error(`${command} ${args.join(" ")} has failed`);
  await new Promise((resolve) => child.on("close", resolve));
  return { ready, ...JSON.parse(memory) };
}

/** Measures both programs with each model. */
export async function measureLoad({ python, folders, pairs }) {
  const program = (extension) => join(root, "bench", `load-process.${extension}`);
  const times = {
    title: "start to ready, ms",
    comparison: "mlx-lm / ours",
    digits: 0,
    rows: [],
  };
  const memory = {
    title: "most memory, MB",
    comparison: "ours / mlx-lm",
    digits: 1,
    rows: [],
  };
  for (const folder of folders) {
    const { a, b } = await alternate(
      pairs,
      () => measure(process.execPath, [program("mjs"), folder]),
      () => measure(python, [program("py"), folder]),
    );
    const of = (part, unit = 1) => {
      const figures = (runs) => runs.map((run) => run[part] / unit);
      return { a: figures(a), b: figures(b) };
    };
    const name = basename(folder);
    times.rows.push(compared(name, of("ready"), (ours, theirs) => theirs / ours, "≥ 1.5"));
    for (const part of ["process", "mlx"]) {
      const ratio = (ours, theirs) => ours / theirs;
      memory.rows.push(compared(`${name}, ${part}`, of(part, 1e6), ratio, "≤ 1.00"));
    }
    say(`bench: ${name} load ${times.rows.at(-1).comparison.median.toFixed(2)}`);
  }
  return [times, memory];
}
