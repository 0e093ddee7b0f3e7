// npm run bench:http: how this package compares with the npm clients ollama and openai, in one run.
//   --only streams,commands   measures only these: requests-1, requests-64, streams, steady,
//                             first-token, memory, commands
//   --rounds 5                measurements of each client
//   --json                    prints the figures as JSON
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../../scripts/native/tools.mjs";
import { measureCommands } from "./commands.mjs";
import { compare, measurements } from "./compare.mjs";
import { startServer } from "./processes.mjs";

const known = [...Object.keys(measurements), "commands"];

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: known.join(",") },
    rounds: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
  },
});

async function bench() {
  const parts = options.only.split(",");
  const unknown = parts.filter((part) => !known.includes(part));
  if (unknown.length > 0) throw new Error(`--only ${unknown}: known are ${known.join(", ")}`);
  const rounds = Number(options.rounds);
  if (!(rounds >= 1)) throw new Error("--rounds takes a number from 1");
  if (!existsSync(join(root, "dist", "cli", "main.js")))
    throw new Error("dist/ is missing; run: npm run build");

  const { url, close } = await startServer();
  try {
    const result = { node: process.version, rounds, rows: [], commands: [] };
    for (const part of parts) {
      // Commands take so little time that more of them cost nothing.
      if (part === "commands") result.commands = await measureCommands(url, rounds * 4);
      else result.rows.push(...(await compare(part, url, rounds)));
    }
    if (options.json) console.log(JSON.stringify(result, null, 2));
    else print(result);
  } finally {
    close();
  }
}

const COLUMN = 10;
const RATIO = 22;
const TITLE = 30;

function print({ node, rounds, rows, commands }) {
  console.log(`Node ${node}, medians of ${rounds} rounds`);
  if (rows.length > 0) printClients(rows);
  if (commands.length > 0) printCommands(commands);
}

function printClients(rows) {
  const apis = ["Ollama's API", "OpenAI's API"];
  const above = apis.map((api) => api.padEnd(2 * COLUMN)).join("");
  const names = ["ours", "npm", "ours", "npm"].map((name) => name.padEnd(COLUMN)).join("");
  console.log(`\n${" ".repeat(TITLE)}${above}times the better of both npm clients`);
  console.log(`${" ".repeat(TITLE)}${names}${apis.map((api) => api.padEnd(RATIO)).join("")}`);
  for (const { title, medians, ratios, goal } of rows) {
    const order = ["ours-ollama", "ollama", "ours-openai", "openai"];
    const figures = order.map((client) => shown(medians[client])).join("");
    const compared = Object.values(ratios).map(range).join("");
    console.log(`  ${title.padEnd(TITLE - 2)}${figures}${compared}goal ≥ ${goal.toFixed(1)}`);
  }
}

function printCommands(commands) {
  const names = ["ours", "node -e 0"].map((name) => name.padEnd(COLUMN)).join("");
  console.log(`\n${"command, ms".padEnd(TITLE)}${names}times node -e 0`);
  for (const { name, ours, theirs, comparison, goal } of commands) {
    const figures = `${shown(ours)}${shown(theirs)}${range(comparison)}`;
    console.log(`  ${name.padEnd(TITLE - 2)}${figures}goal ≤ ${goal.toFixed(1)}`);
  }
}

function shown(value) {
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2).padEnd(COLUMN);
}

/** The median of the ratios, and where the middle half of them lies. */
function range({ low, median, high }) {
  return `${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`.padEnd(RATIO);
}

try {
  await bench();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
