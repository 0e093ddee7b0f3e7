// Compiles src/ to dist/: the package as ES modules with their types in dist/esm/, as one CommonJS file
// for `require` in dist/cjs/, and the command line in dist/cli/.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleCli, REQUIRE } from "./bundle-cli.mjs";
import { licensesOf } from "./licenses.mjs";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });

const tsc = ["node_modules/typescript/bin/tsc", "--project", "tsconfig.build.json"];
const compiled = spawnSync(process.execPath, tsc, { stdio: ["ignore", 2, 2] });
if (compiled.status !== 0) process.exit(1);

/** Reading a hundred small files takes longer than all that importing the package does. */
const library = {
  entryPoints: ["src/index.ts"],
  bundle: true,
  // Loaded only by those who need it.
  external: ["@huggingface/*", "ajv", "ajv-formats", "sharp", "undici", "zod/v4"],
  mainFields: ["module", "main"],
  platform: "node",
  target: "node20",
  metafile: true,
  logLevel: "warning",
};

const { metafile } = await build({
  ...library,
  outdir: "dist/esm",
  chunkNames: "[name]-[hash]",
  splitting: true,
  format: "esm",
});

const commonJs = {
  format: "cjs",
  // CommonJS has no import.meta.
  banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
  define: { "import.meta.url": "importMetaUrl" },
};

/** Entries of their own, over the same client: they ask for the package's file. */
for (const entry of ["server", "ai-sdk", "otel"]) {
  const options = {
    ...library,
    entryPoints: [`src/${entry}/index.ts`],
    external: ["hono", "@hono/node-server", "prom-client", "@opentelemetry/api"],
    plugins: [{ name: "client", setup: leaveClient }],
  };
  await build({ ...options, outfile: `dist/esm/${entry}/index.js`, format: "esm" });
  await build({ ...options, ...commonJs, outfile: `dist/cjs/${entry}/index.js` });
}
await build({ ...library, ...commonJs, outfile: "dist/cjs/index.js" });

function leaveClient({ onResolve }) {
  const client = join(process.cwd(), "src", "index.js");
  onResolve({ filter: /\/index\.js$/ }, ({ path, resolveDir }) =>
    join(resolveDir, path) === client ? { path: "../index.js", external: true } : undefined,
  );
}

// The SDK of MCP comes along: its packages would triple what everyone installs.
const mcp = {
  ...library,
  entryPoints: ["src/mcp/index.ts"],
  external: ["ajv", "ajv-formats"],
  // Names stay, for stack traces.
  minifySyntax: true,
  minifyWhitespace: true,
  plugins: [{ name: "client", setup: leaveClient }],
};
const bundledMcp = await build({
  ...mcp,
  outfile: "dist/esm/mcp/index.js",
  format: "esm",
  banner: { js: REQUIRE },
});
await build({ ...mcp, ...commonJs, outfile: "dist/cjs/mcp/index.js" });

writeFileSync("dist/licenses.txt", licensesOf(metafile));
writeFileSync("dist/esm/mcp/licenses.txt", licensesOf(bundledMcp.metafile));
await bundleCli();

// The same declarations serve both; the package.json makes TypeScript read them as CommonJS there.
writeFileSync("dist/cjs/package.json", '{ "type": "commonjs" }\n');
for (const file of readdirSync("dist/esm", { recursive: true })) {
  if (file.endsWith(".d.ts")) cpSync(join("dist/esm", file), join("dist/cjs", file));
}
