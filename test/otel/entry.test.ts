import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const names = ["onStart", "onAttempt", "onRetry", "onFallback", "onFinish"];

test.each([
  [
    "module",
    'import { openTelemetry } from "mlx-llm-client/otel"; console.log(JSON.stringify(Object.keys(openTelemetry())));',
  ],
  [
    "commonjs",
    'console.log(JSON.stringify(Object.keys(require("mlx-llm-client/otel").openTelemetry())));',
  ],
])("the built package has the hooks as a %s", (type, code) => {
  const output = execFileSync(process.execPath, [`--input-type=${type}`, "--eval", code], {
    cwd: root,
    encoding: "utf8",
  });
  expect(JSON.parse(output)).toEqual(names);
});
