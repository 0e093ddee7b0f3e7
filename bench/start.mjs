// From the start of a process to the first text of the reply on its stdout.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { root, say } from "../scripts/native/tools.mjs";
import { alternate, compared } from "./pairs.mjs";

const question = "What is 7 + 5?";
// What `mlx_lm generate` prints before the reply.
const heading = /^=+\n/;

/** Milliseconds until a command shows text; waits for its end, so that nothing else runs beside the next. */
function timeToText(command, args) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(command, args, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, HF_HUB_OFFLINE: "1" },
    });
    let output = "";
    let problem = "";
    let time;
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (output.replace(heading, "") !== "") time ??= performance.now() - start;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      problem += text;
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0 && time) resolve(time);
      else reject(new Error(`${command} ${args.join(" ")}: exit code ${code}\n${problem}`));
    });
  });
}

/** Measures both commands on the demo model. */
export async function measureStart({ python, pairs }) {
  const model = join(root, "models", "demo");
  const common = ["generate", "--model", model, "--max-tokens", "8"];
  const main = join(root, "dist", "cli", "main.js");
  const ours = [main, ...common, "--provider", "mlx", "--temperature", "0", question];
  const theirs = ["-m", "mlx_lm", ...common, "--temp", "0", "--prompt", question];
  const samples = await alternate(
    pairs,
    () => timeToText(process.execPath, ours),
    () => timeToText(python, theirs),
  );
  const row = compared("demo", samples, (ours, theirs) => theirs / ours, "≥ 5");
  say(`bench: start ${row.comparison.median.toFixed(2)}`);
  return { title: "start to first text, ms", comparison: "mlx-lm / ours", digits: 0, rows: [row] };
}
