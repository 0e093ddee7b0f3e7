// Records the replies of a genuine Ollama into test/fixtures/wire/ollama/<version>/.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { root, say } from "../../scripts/native/tools.mjs";
import { OLLAMA_VERSION } from "./places.mjs";

const folder = join(root, "test", "fixtures", "wire", "ollama", OLLAMA_VERSION);
// Two folders deep, as the scripts are: the bundle finds the checkout from where it lies.
const scratch = mkdtempSync(join(root, ".cache", "record-"));

try {
  const bundle = join(scratch, "recordings.mjs");
  await build({
    entryPoints: [join(root, "test", "servers", "recordings.ts")],
    outfile: bundle,
    bundle: true,
    format: "esm",
    platform: "node",
  });
  const { recordOllama } = await import(pathToFileURL(bundle));
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(await recordOllama())) {
    writeFileSync(join(folder, name), text);
    say(name);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
