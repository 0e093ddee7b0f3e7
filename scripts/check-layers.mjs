// Fails if a file reaches past its layer. The rules are the arrows of docs/architecture.md.
//   node scripts/check-layers.mjs [folder]
import { readdirSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const nativeLayers = ["mlx", "grammar", "nn", "models", "generate", "bridge"];

/** An import, of any kind, of a path that begins so. */
function imports(path) {
  return new RegExp(`\\b(?:from|import)\\s*\\(?\\s*"(?:${path})`);
}

const OPEN_TO_CLI =
  '(((server|mcp)/)?index|home-folder|nearest-name|regular-file|request|validation)\\.js"';

const rules = [
  {
    says: "only native/mlx_bridge.cpp and native/bridge/ may use N-API",
    in: /^native\/(?!mlx_bridge\.cpp|bridge\/)/,
    never: /#include\s*[<"](napi|node_api)/,
  },
  {
    says: "only native/mlx/ may name mlx-c",
    in: /^native\/(?!mlx\/)/,
    never: /#include\s*[<"]mlx\/c\/|(?<!")\bmlx_(?!llm_client\b|bridge\b)\w+/,
  },
  {
    says: "only native/grammar/ may name llguidance's functions",
    in: /^native\/(?!grammar\/)/,
    never: /#include\s*[<"]llguidance|\bllg_\w+/,
  },
  {
    says: "a model may not include another model",
    in: /^native\/models\/(?!registry\.)/,
    never: /#include\s*"models\/(?!(models?|encoders?|checks|layer_types)\.h")/,
  },
  ...nativeLayers.slice(0, -1).map((layer, index) => ({
    says: `native/${layer}/ may not include what is built on it`,
    in: new RegExp(`^native/${layer}/`),
    never: new RegExp(`#include\\s*"(${nativeLayers.slice(index + 1).join("|")})/`),
  })),
  {
    says: "the command line may import only the package's entries and a few helpers",
    in: /^src\/cli\/[^/]+$/,
    never: imports(`\\.\\./(?!${OPEN_TO_CLI})`),
  },
  {
    says: "the command line may import only the package's entries and a few helpers",
    in: /^src\/cli\/\w+\//,
    never: imports(`\\.\\./\\.\\./(?!${OPEN_TO_CLI})`),
  },
  ...["[^/]+$", "\\w+/"].map((place, depth) => ({
    says: "the server may import only src/index.ts and src/validation.ts",
    in: new RegExp(`^src/server/${place}`),
    never: imports(`(\\.\\./){${depth + 1}}(?!(index|validation)\\.js")`),
  })),
  ...["ai-sdk", "otel"].map((folder) => ({
    says: `src/${folder}/ may import only src/index.ts`,
    in: new RegExp(`^src/${folder}/`),
    never: imports('\\.\\./(?!index\\.js")'),
  })),
  {
    says: "src/mcp/ may import only src/index.ts and a few helpers",
    in: /^src\/mcp\//,
    never: imports('\\.\\./(?!(index|regular-file|schemas|validation)\\.js")'),
  },
  {
    says: "the protocols of the server may not know each other",
    in: /^src\/server\/\w+\//,
    never: imports("\\.\\./(openai|anthropic|ollama)/"),
  },
  {
    says: "a provider may not import another provider",
    in: /^src\/providers\/(?!registry\.ts)/,
    never: imports("\\./(?!provider\\.js)"),
  },
  ...["http", "ollama", "openai", "lm-studio", "mlx", "hub", "config"].map((folder) => ({
    says: `src/${folder}/ may not know providers' classes, the chain, the client or the command line`,
    in: new RegExp(`^src/${folder}/`),
    never: imports("\\.\\./(providers/(?!provider\\.js)|chain/|cli/|client\\.js|index\\.js)"),
  })),
  {
    says: "src/http/ may not know any provider",
    in: /^src\/http\//,
    never: imports("\\.\\./(providers|ollama|openai|lm-studio|mlx|hub|config)/"),
  },
  {
    says: "src/hub/ may not know who uses it",
    in: /^src\/hub\//,
    never: imports("\\.\\./(providers|ollama|openai|lm-studio|mlx|config)/"),
  },
  {
    says: "src/config/ may know no more of a provider than how it names its server",
    in: /^src\/config\//,
    never: imports("\\.\\./(http|openai|lm-studio|mlx|hub|ollama/(?!host\\.js))"),
  },
  {
    says: "the chain may not know how providers work",
    in: /^src\/chain\//,
    never: imports(
      "\\.\\./(http|ollama|openai|lm-studio|mlx|hub|cli)/|\\.\\./providers/(?!provider\\.js)",
    ),
  },
];

const root = process.argv[2] ?? fileURLToPath(new URL("..", import.meta.url));
const files = ["native", "src"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name)),
);
let violations = 0;
for (const file of files) {
  const path = file.slice(join(root, sep).length).split(sep).join("/");
  const lines = readFileSync(file, "utf8").split("\n");
  for (const rule of rules.filter((rule) => rule.in.test(path))) {
    lines.forEach((line, index) => {
      if (/^\s*(\/\/|\/?\*)/.test(line) || !rule.never.test(line)) return;
      console.error(`${path}:${index + 1}: ${rule.says}: ${line.trim()}`);
      violations += 1;
    });
  }
}
if (violations > 0) process.exitCode = 1;
