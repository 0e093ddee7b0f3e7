// How long commands of the package take, against a Node that does nothing.
import { join } from "node:path";
import { root, say } from "../../scripts/native/tools.mjs";
import { compared } from "../pairs.mjs";
import { runAnywhere } from "./processes.mjs";

const main = join(root, "dist", "cli", "main.js");

const commands = [
  { name: "llm-client --version", args: [main, "--version"], goal: 1.5 },
  { name: "llm-client models", args: [main, "models"], goal: 3 },
];

/** Runs each command and an empty program in turns; both servers of `models` are at `url`. */
export async function measureCommands(url, rounds) {
  const environment = { OLLAMA_BASE_URL: url, LMSTUDIO_BASE_URL: url };
  const timeOf = async (args) => {
    const start = performance.now();
    await runAnywhere(args, environment);
    return performance.now() - start;
  };
  const turns = [];
  // The first turn warms the caches.
  for (let round = -1; round < rounds; round++) {
    const turn = [await timeOf(["-e", "0"])];
    for (const { args } of commands) turn.push(await timeOf(args));
    if (round >= 0) turns.push(turn);
  }
  return commands.map(({ name, goal }, index) => {
    const samples = { a: turns.map((turn) => turn[index + 1]), b: turns.map(([empty]) => empty) };
    const row = compared(name, samples, (command, empty) => command / empty, goal);
    say(`bench: ${name} ${row.comparison.median.toFixed(2)}`);
    return row;
  });
}
