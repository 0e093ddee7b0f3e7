// Feeds what reads bytes of strangers with bytes that reach ever more of its code.
//   node scripts/fuzz.mjs [TARGET…] [--seconds N]     all targets, 20 s each, unless told
// Coverage leads the way where jazzer.js runs (glibc 2.38 or later, macOS, Windows), else chance alone.
// What is found goes to test/fuzz/crashes/TARGET, where jest replays it; the corpus stays in .cache/fuzz.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { root } from "./native/tools.mjs";

/** In seconds and megabytes: one input that takes more is a finding. */
const LONGEST_INPUT = 25;
const MOST_MEMORY = 3000;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string", default: "20" } },
});
const folder = join(root, ".cache", "fuzz");
const bundle = join(folder, "targets.cjs");
await bundleTargets();
const { TARGETS, tryInput } = createRequire(import.meta.url)(bundle);
const names = positionals.length > 0 ? positionals : Object.keys(TARGETS);
const node = process.env.npm_node_execpath ?? process.execPath;
const isGuided =
  spawnSync(node, ["-e", 'require("@jazzer.js/fuzzer")'], { cwd: root }).status === 0;
const failed = [];
for (const name of names) if (!(await fuzz(name))) failed.push(name);
if (failed.length > 0) console.log(`\nFindings: ${failed.join(", ")}`);
process.exit(failed.length > 0 ? 1 : 0);

/** One file of CommonJS: only so the fuzzer sees which code an input reaches, libraries' too. */
async function bundleTargets() {
  await build({
    entryPoints: [join(root, "test", "fuzz", "targets.ts")],
    outfile: bundle,
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "error",
    external: ["undici", "node-gyp-build"],
    banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
    define: { "import.meta.url": "importMetaUrl" },
  });
}

async function fuzz(name) {
  const target = TARGETS[name];
  if (!target)
    throw new Error(`There is no ${name}; there are ${Object.keys(TARGETS).join(", ")}.`);
  const crashes = join(root, "test", "fuzz", "crashes", name);
  mkdirSync(crashes, { recursive: true });
  console.log(`== fuzz ${name}, ${values.seconds} s, ${isGuided ? "guided" : "by chance"}`);
  const isClean = isGuided ? fuzzGuided(name, crashes) : await fuzzByChance(target, crashes);
  if (isClean && readdirSync(crashes).length === 0) rmdirSync(crashes);
  return isClean;
}

function fuzzGuided(name, crashes) {
  const [seeds, corpus] = ["seeds", "corpus"].map((kind) => join(folder, name, kind));
  for (const path of [seeds, corpus]) mkdirSync(path, { recursive: true });
  for (const seed of TARGETS[name].seeds()) writeFileSync(join(seeds, nameOf(seed)), seed);
  const entry = join(folder, `${name}.cjs`);
  writeFileSync(
    entry,
    'const { TARGETS, tryInput } = require("./targets.cjs");\n' +
      `exports.fuzz = (data) => tryInput(TARGETS.${name}, data);\n`,
  );
  const limits = [`-rss_limit_mb=${MOST_MEMORY}`, "-max_len=200000"];
  const options = [`-max_total_time=${values.seconds}`, `-artifact_prefix=${crashes}/`, ...limits];
  const jazzer = join(root, "node_modules", "@jazzer.js", "core", "dist", "cli.js");
  const limit = String(LONGEST_INPUT * 1000);
  const command = [jazzer, entry, corpus, seeds, "-i", folder, "--timeout", limit];
  const jazzerRun = spawnSync(node, [...command, "--", ...options], {
    cwd: root,
    stdio: "inherit",
  });
  return jazzerRun.status === 0;
}

async function fuzzByChance({ seeds, read }, crashes) {
  const inputs = seeds();
  const end = Date.now() + Number(values.seconds) * 1000;
  let tries = 0;
  for (; Date.now() < end; tries++) {
    const input = changed(inputs[tries % inputs.length], inputs);
    const started = Date.now();
    try {
      await tryInput({ read }, input);
      if (Date.now() - started < LONGEST_INPUT * 1000) continue;
      throw new Error(`it took ${Date.now() - started} ms`);
    } catch (error) {
      const file = join(crashes, nameOf(input));
      writeFileSync(file, input);
      console.log(`${file}: ${error.stack}`);
      return false;
    }
  }
  console.log(`${tries} inputs`);
  return true;
}

/** An input with a few changes: bytes, numbers at their limits, parts left out, doubled or of others. */
function changed(input, others) {
  let bytes = Buffer.from(input);
  for (let changes = below(6); changes >= 0; changes--) {
    const [from, to] = [below(bytes.length), below(bytes.length)].sort((a, b) => a - b);
    const other = others[below(others.length)];
    const part = [
      () => Buffer.from([below(256)]),
      () => Buffer.from(["[", "{", '"', "-1", "1e999", "null", "\\u0000"][below(7)]),
      () => Buffer.alloc(8, below(2) * 255),
      () => Buffer.alloc(0),
      () => Buffer.concat([bytes.subarray(from, to), bytes.subarray(from, to)]),
      () => other.subarray(below(other.length)),
    ][below(6)]();
    const rest = below(2) === 0 ? from + part.length : to;
    bytes = Buffer.concat([bytes.subarray(0, from), part, bytes.subarray(rest)]);
  }
  return bytes;
}

function below(number) {
  return Math.floor(Math.random() * number);
}

function nameOf(bytes) {
  return createHash("sha1").update(bytes).digest("hex");
}
