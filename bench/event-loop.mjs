// How long the event loop is held up while a model works, against a process that does nothing.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { root, say } from "../scripts/native/tools.mjs";
import { summary } from "./pairs.mjs";

const program = join(root, "bench", "event-loop-process.mjs");
const phases = ["load", "prefill", "decode"];
const goal = "≤ 5";

/** Runs idle, load, prefill and decode in turns, each in a process of its own. */
export async function measureEventLoop({ folder, pairs }) {
  const rounds = [];
  for (let round = 0; round < pairs; round++) {
    const result = {};
    for (const phase of ["idle", ...phases]) result[phase] = await measure(phase, folder);
    rounds.push(result);
  }
  const idle = summary(rounds.map((round) => round.idle.p99)).median;
  const rows = phases.map((phase) => {
    const ours = summary(rounds.map((round) => round[phase].p99)).median;
    const comparison = summary(rounds.map((round) => round[phase].p99 - round.idle.p99));
    say(`bench: event loop ${phase} ${comparison.median.toFixed(2)} ms`);
    const longest = summary(rounds.map((round) => round[phase].longest)).median;
    return {
      name: phase,
      ours,
      theirs: idle,
      comparison,
      goal,
      note: `longest ${longest.toFixed(0)} ms`,
    };
  });
  return {
    title: "event loop delay p99, ms",
    other: "idle",
    comparison: "ours − idle",
    digits: 2,
    rows,
  };
}

async function measure(phase, folder) {
  const { stdout } = await promisify(execFile)(process.execPath, [program, phase, folder]);
  return JSON.parse(stdout);
}
