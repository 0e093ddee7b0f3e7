// Compiles src/ to dist/: ES modules with their types, in dist/cjs/ one CommonJS file for `require`, and
// in dist/cli/ the command line.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleCli } from "./bundle-cli.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });

const tsc = ["node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json"];
const compiled = spawnSync(process.execPath, tsc, { stdio: ["ignore", 2, 2] });
if (compiled.status !== 0) process.exit(1);

await build({
  entryPoints: ["src/index.ts"],
  outfile: "dist/cjs/index.js",
  bundle: true,
  packages: "external",
  platform: "node",
  target: "node20",
  format: "cjs",
  // Else the error classes would print under the names that bundling gives them.
  keepNames: true,
  // CommonJS has no import.meta; the file lies as deep as those of dist/mlx/ that ask for it.
  banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
  define: { "import.meta.url": "importMetaUrl" },
  logLevel: "warning",
});

await bundleCli();

// The same declarations serve both; the package.json makes TypeScript read them as CommonJS there.
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
for (const file of readdirSync("dist", { recursive: true })) {
  if (file.endsWith(".d.ts")) cpSync(join("dist", file), join("dist", "cjs", file));
}
