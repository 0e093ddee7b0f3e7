// Compiles src/ to dist/: ES modules with their types, and in dist/cjs/ one CommonJS file for `require`.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

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
  // CommonJS has no import.meta; the file lies as deep as those of dist/mlx/ that ask for it.
  banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
  define: { "import.meta.url": "importMetaUrl" },
  logLevel: "warning",
});

// The same declarations serve both; the package.json makes TypeScript read them as CommonJS there.
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
for (const file of readdirSync("src", { recursive: true })) {
  if (!file.endsWith(".ts")) continue;
  const declarations = file.replace(/\.ts$/, ".d.ts");
  cpSync(join("dist", declarations), join("dist", "cjs", declarations));
}

chmodSync("dist/cli/main.js", 0o755);
