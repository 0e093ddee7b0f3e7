// How much longer a process takes that imports the package, against one that does nothing.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { root, say } from "../scripts/native/tools.mjs";
import { alternate, compared } from "./pairs.mjs";

const esModule = JSON.stringify(join(root, "dist", "esm", "index.js"));
const commonJs = JSON.stringify(join(root, "dist", "cjs", "index.js"));
const goal = "≤ 30";

const programs = [
  { name: "import", kind: "module", code: `import ${esModule};` },
  { name: "require", kind: "commonjs", code: `require(${commonJs});` },
  {
    name: "import, new LLMClient",
    kind: "module",
    code: `import { LLMClient } from ${esModule}; new LLMClient({ provider: "ollama" });`,
  },
];

/** Measures each program and an empty one in turns; so short, more of them cost nothing. */
export async function measureImport({ pairs }) {
  const rows = [];
  for (const { name, kind, code } of programs) {
    const samples = await alternate(
      pairs * 4,
      () => timeOf(kind, code),
      () => timeOf(kind, ""),
    );
    const row = compared(name, samples, (ours, empty) => ours - empty, goal);
    say(`bench: ${name} ${row.comparison.median.toFixed(1)} ms`);
    rows.push(row);
  }
  return { title: "import, ms", other: "empty", comparison: "ours − empty", digits: 1, rows };
}

async function timeOf(kind, code) {
  const start = performance.now();
  await promisify(execFile)(process.execPath, [`--input-type=${kind}`, "--eval", code]);
  return performance.now() - start;
}
