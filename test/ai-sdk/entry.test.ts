import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { loadedFiles } from "../helpers/loaded-files.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const entry = fileURLToPath(new URL("../../dist/esm/ai-sdk/index.js", import.meta.url));
const BODY = `
  const client = new LLMClient({ provider: "ollama", baseUrl: "http://127.0.0.1:1" });
  const llm = createMlxLlmClient(client);
  const failed = await generateText({ model: llm("m"), prompt: "Hello" }).catch((error) => error);
  await llm.close();
  console.log(JSON.stringify([llm.client === client, typeof byDefault.close, failed.code]));
`;

test.each([
  [
    "module",
    `import { LLMClient } from "mlx-llm-client"; import { generateText } from "ai";
     import byDefault, { createMlxLlmClient } from "mlx-llm-client/ai-sdk"; ${BODY}`,
    "module",
  ],
  [
    "CommonJS file",
    `const { LLMClient } = require("mlx-llm-client"); const { generateText } = require("ai");
     const { createMlxLlmClient, default: byDefault } = require("mlx-llm-client/ai-sdk");
     (async () => { ${BODY} })();`,
    "commonjs",
  ],
])("the built package has the provider as a %s, over the same client", (_, code, type) => {
  const output = execFileSync(process.execPath, [`--input-type=${type}`, "--eval", code], {
    cwd: root,
    encoding: "utf8",
  });
  expect(JSON.parse(output)).toEqual([true, "function", "connection_refused"]);
});

test("importing the provider loads nothing of the AI SDK", async () => {
  const files = await loadedFiles(`await import(${JSON.stringify(entry)});`);
  expect(files).toContain(entry);
  expect(files.filter((file) => file.includes("node_modules"))).toEqual([]);
});
