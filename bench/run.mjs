// npm run bench: how this package compares with mlx-lm on this machine, in one run.
//   --only decode,graph   measures only these: decode, prefill, graph, host, speculation,
//                         second-turn, batch, structured, import, start, load, event-loop
//   --pairs 7             measurements of each side
//   --python FILE         a Python with mlx-lm; else LLM_CLIENT_ORACLE_PYTHON, else one of its own
//   --json                prints the figures as JSON
//   --write               writes them into bench/RESULTS.md, too
import { existsSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "../scripts/native/tools.mjs";
import { loadAddon } from "./addon.mjs";
import { measureBatch } from "./batch.mjs";
import { measureEventLoop } from "./event-loop.mjs";
import { measureHost } from "./host.mjs";
import { measureImport } from "./import.mjs";
import { measureLoad } from "./load.mjs";
import { benchModels, findPython, startReference } from "./python.mjs";
import { measureSecondTurn } from "./second-turn.mjs";
import { measureSpeculation } from "./speculation.mjs";
import { measureSpeed } from "./speed.mjs";
import { measureStart } from "./start.mjs";
import { measureStructured } from "./structured.mjs";

const known = [
  "decode",
  "prefill",
  "graph",
  "host",
  "speculation",
  "second-turn",
  "batch",
  "structured",
  "import",
  "start",
  "load",
  "event-loop",
];
const speedParts = ["decode", "prefill", "graph"];

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: known.join(",") },
    pairs: { type: "string", default: "7" },
    python: { type: "string" },
    json: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});

async function bench() {
  const parts = options.only.split(",");
  const unknown = parts.filter((part) => !known.includes(part));
  if (unknown.length > 0) throw new Error(`--only ${unknown}: known are ${known.join(", ")}`);
  const pairs = Number(options.pairs);
  if (!(pairs >= 1)) throw new Error("--pairs takes a number from 1");
  if (!existsSync(join(root, "dist", "esm", "index.js")))
    throw new Error("dist/ is missing; run: npm run build && npm run build:native");

  const python = findPython(options.python);
  const models = benchModels(python);
  const demo = join(root, "models", "demo");
  const addon = loadAddon();
  const tables = [];
  const speed = speedParts.filter((part) => parts.includes(part));
  if (speed.length > 0) {
    // So many tokens that a run takes about a third of a second.
    const checkpoints = [
      { folder: models["llama-4x64"], tokens: 256, decodeGoal: "≥ 1.10" },
      { folder: models["llama-6x128"], tokens: 128, decodeGoal: "≥ 1.05" },
      { folder: models["llama-8x256"], tokens: 48, decodeGoal: "≥ 1.00" },
      { folder: models["qwen3_moe-6x128"], tokens: 96, decodeGoal: "≥ 1.05" },
      { folder: models["qwen3_5-8x128"], tokens: 96, decodeGoal: "≥ 1.05" },
      { folder: demo, tokens: 96 },
    ];
    const reference = startReference(python);
    try {
      tables.push(...(await measureSpeed({ addon, reference, checkpoints, pairs, parts: speed })));
    } finally {
      reference.close();
    }
  }
  if (parts.includes("host")) tables.push(await measureHost({ addon, folder: demo, pairs }));
  if (parts.includes("batch")) {
    const folders = [models["llama-4x64"], models["llama-6x128"], models["qwen3_5-8x128"]];
    const reference = startReference(python);
    try {
      tables.push(...(await measureBatch({ addon, reference, folders, pairs })));
    } finally {
      reference.close();
    }
  }
  if (parts.includes("second-turn")) {
    const folders = [models["llama-6x128"], models["qwen3_5-8x128"]];
    tables.push(await measureSecondTurn({ addon, folders, pairs }));
  }
  if (parts.includes("structured")) {
    tables.push(await measureStructured({ folder: demo, end: 2, pairs }));
  }
  if (parts.includes("speculation")) {
    const checkpoints = [
      { folder: models["llama-4x64"], tokens: 512 },
      { folder: models["llama-6x128"], tokens: 256 },
    ];
    tables.push(await measureSpeculation({ addon, checkpoints, pairs }));
  }
  if (parts.includes("import")) tables.push(await measureImport({ pairs }));
  if (parts.includes("start")) tables.push(await measureStart({ python, pairs }));
  if (parts.includes("load")) {
    const folders = [demo, models["llama-12x1024"]];
    tables.push(...(await measureLoad({ python, folders, pairs })));
  }
  if (parts.includes("event-loop")) {
    tables.push(await measureEventLoop({ folder: models["llama-6x128"], pairs }));
  }

  const machine = { device: addon.device(), mlx: addon.version().mlx, pairs };
  if (options.json) return console.log(JSON.stringify({ ...machine, tables }, null, 2));
  const { type, name } = machine.device;
  const heading = `${type} (${name}), MLX ${machine.mlx}, Node ${process.version}, medians of ${pairs} alternating pairs`;
  const text = [heading, ...tables.map(textOf)].join("\n\n");
  console.log(text);
  if (options.write) writeFileSync(join(root, "bench", "RESULTS.md"), resultsOf(text));
}

function textOf({ title, other = "mlx-lm", comparison, digits, rows }) {
  const lines = [`${title.padEnd(26)}     ours${other.padStart(9)}   ${comparison} (middle half)`];
  for (const { name, ours, theirs, comparison, goal, note } of rows) {
    const figures = [ours, theirs].map((value) => value.toFixed(digits).padStart(9)).join("");
    const { low, median, high } = comparison;
    const text = `  ${name.padEnd(24)}${figures}   ${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
    const remarks = [goal && `goal ${goal}`, note].filter(Boolean).join("; ");
    lines.push(`${text.padEnd(68)}${remarks}`.trimEnd());
  }
  return lines.join("\n");
}

function resultsOf(text) {
  const date = new Date().toISOString().slice(0, 10);
  const { model } = cpus()[0];
  return `# Results\n\nWhat \`npm run bench -- --write\` printed on ${date}, on ${cpus().length} × ${model}. See docs/benchmarks.md.\n\n\`\`\`\n${text}\n\`\`\`\n`;
}

try {
  await bench();
} catch (error) {
  console.error(error.message);
  if (error.hint) console.error(error.hint);
  process.exitCode = 1;
}
