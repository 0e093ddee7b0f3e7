import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const BODY = `
  const client = new LLMClient({ provider: "ollama" });
  let refusal;
  try { createServer(client, { port: -1 }); } catch (error) { refusal = error; }
  const server = createServer(client, { port: 0 });
  const url = await server.listen();
  const { version } = await (await fetch(url + "/api/version")).json();
  await server.close();
  await client.close();
  console.log(JSON.stringify([refusal instanceof ConfigurationError, version]));
`;

test.each([
  [
    "module",
    `import { ConfigurationError, LLMClient } from "mlx-llm-client";
     import { createServer } from "mlx-llm-client/server"; ${BODY}`,
    "module",
  ],
  [
    "CommonJS file",
    `const { ConfigurationError, LLMClient } = require("mlx-llm-client");
     const { createServer } = require("mlx-llm-client/server"); (async () => { ${BODY} })();`,
    "commonjs",
  ],
])("the built package has the server as a %s, over the same classes", (_, code, type) => {
  const output = execFileSync(process.execPath, [`--input-type=${type}`, "--eval", code], {
    cwd: root,
    encoding: "utf8",
  });
  expect(JSON.parse(output)).toEqual([true, expect.stringMatching(/^\d+\.\d+\.\d+/)]);
});
