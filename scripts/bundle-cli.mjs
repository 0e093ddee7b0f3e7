// Bundles the command line. A command is over soon, so what it loads is most of its time: only the
// used parts of the libraries, small, and in files of which each command loads what it needs.
import { chmodSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { licensesOf } from "./licenses.mjs";

/** Bundled CommonJS packages ask for Node's own modules by `require`. */
export const REQUIRE = [
  'import { createRequire as makeRequire } from "node:module";',
  "const require = makeRequire(import.meta.url);",
].join("");

/** Writes dist/cli/ from src/cli/. */
export async function bundleCli() {
  const { metafile } = await build({
    entryPoints: ["src/cli/main.ts"],
    outdir: "dist/cli",
    chunkNames: "chunk-[hash]",
    bundle: true,
    splitting: true,
    // Two look for files beside their own; of the other only downloads need a little.
    external: ["node-gyp-build", "sharp", "@huggingface/hub"],
    mainFields: ["module", "main"],
    platform: "node",
    target: "node20",
    format: "esm",
    banner: { js: REQUIRE },
    // Names stay, for stack traces.
    minifySyntax: true,
    minifyWhitespace: true,
    plugins: [{ name: "undici", setup: replaceUndici }],
    metafile: true,
    logLevel: "warning",
  });
  chmodSync("dist/cli/main.js", 0o755);
  writeFileSync("dist/cli/licenses.txt", licensesOf(metafile));
}

function replaceUndici(build) {
  const path = fileURLToPath(new URL("undici-dispatchers.mjs", import.meta.url));
  build.onResolve({ filter: /^undici$/ }, () => ({ path }));
  // It is only asked for HTTP/1.1; loading Node's HTTP/2 for nothing takes longer than a request.
  build.onLoad({ filter: /undici\/lib\/dispatcher\/client-h2\.js$/ }, () => ({ contents: "" }));
}
