import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const script = join(__dirname, "../../scripts/check-layers.mjs");
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "layers-"));
  for (const name of ["native", "src"]) mkdirSync(join(folder, name));
});
afterEach(() => rmSync(folder, { recursive: true }));

function check(path: string, line: string) {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), `\n${line}\n`);
  const { status, stderr } = spawnSync(process.execPath, [script, folder], { encoding: "utf8" });
  return { status, stderr };
}

test.each([
  [
    "native/generate/generation.cpp",
    "#include <napi.h>",
    "only native/mlx_bridge.cpp and native/bridge/ may use N-API",
  ],
  ["native/nn/linear.cpp", "mlx_array x = mlx_array_new();", "only native/mlx/ may name mlx-c"],
  ["native/weights.h", '#include "mlx/c/mlx.h"', "only native/mlx/ may name mlx-c"],
  ["native/models/qwen3.cpp", '#include "models/llama.h"', "a model may not include another model"],
  [
    "native/nn/rope.h",
    '#include "models/model.h"',
    "native/nn/ may not include what is built on it",
  ],
  ["native/mlx/ops.h", '#include "nn/linear.h"', "native/mlx/ may not include what is built on it"],
  ["src/cli/chat.ts", 'import { x } from "../client.js";', "the command line may import only"],
  [
    "src/cli/chat.ts",
    'const x = await import("../mlx/native.js");',
    "the command line may import only",
  ],
  ["src/cli/chat/x.ts", 'import { x } from "../../client.js";', "the command line may import only"],
  ["src/server/app.ts", 'import { x } from "../errors.js";', "the server may import only"],
  ["src/server/openai/x.ts", 'import { x } from "../../types.js";', "the server may import only"],
  ["src/server/openai/x.ts", 'import { x } from "../ollama/y.js";', "may not know each other"],
  ["src/ai-sdk/x.ts", 'import { x } from "../client.js";', "src/ai-sdk/ may import only"],
  ["src/otel/x.ts", 'import { x } from "../types.js";', "src/otel/ may import only"],
  ["src/providers/ollama.ts", 'import { x } from "./mlx.js";', "may not import another provider"],
  [
    "src/mlx/model.ts",
    'import { x } from "../providers/mlx.js";',
    "src/mlx/ may not know providers",
  ],
  [
    "src/openai/chat-chunks.ts",
    'import { x } from "../chain/attempt.js";',
    "src/openai/ may not know providers",
  ],
  [
    "src/http/ndjson.ts",
    'import { x } from "../ollama/host.js";',
    "src/http/ may not know any provider",
  ],
  [
    "src/chain/retry.ts",
    'import { x } from "../http/http-client.js";',
    "the chain may not know how providers work",
  ],
])("finds what is wrong in %s with: %s", (path, line, says) => {
  const { status, stderr } = check(path, line);
  expect(stderr).toContain(`${path}:2: `);
  expect(stderr).toContain(says);
  expect(status).toBe(1);
});

test.each([
  ["native/mlx_bridge.cpp", "#include <napi.h>"],
  ["native/mlx/ops.h", '#include "mlx/c/mlx.h"'],
  ["native/models/llama.cpp", '#include "nn/linear.h"'],
  ["native/nn/linear.cpp", "// as mlx_quantize does it"],
  ["src/cli/chat.ts", 'import { LLMClient } from "../index.js";'],
  ["src/cli/chat.ts", 'import { io } from "./io.js";'],
  ["src/cli/serve.ts", 'await import("../server/index.js");'],
  ["src/server/app.ts", 'import { x } from "../validation.js";'],
  [
    "src/server/openai/x.ts",
    'import { x } from "../answer.js"; import { y } from "../../index.js";',
  ],
  ["src/providers/registry.ts", 'import { mlx } from "./mlx.js";'],
  ["src/providers/ollama.ts", 'import type { Provider } from "./provider.js";'],
])("lets %s have: %s", (path, line) => {
  expect(check(path, line)).toEqual({ status: 0, stderr: "" });
});
