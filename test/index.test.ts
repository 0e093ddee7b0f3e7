import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import * as api from "../src/index.js";

test("the package exports the client and the errors, and nothing else at run time", () => {
  expect(Object.keys(api).sort()).toEqual([
    "AbortError",
    "AllProvidersFailedError",
    "AuthenticationError",
    "ConfigurationError",
    "ConnectionError",
    "ContextLengthError",
    "GenerationError",
    "LLMClient",
    "LLMError",
    "ModelLoadError",
    "ModelNotFoundError",
    "ProtocolError",
    "ProviderUnavailableError",
    "RateLimitError",
    "StreamInterruptedError",
    "TimeoutError",
    "ValidationError",
    "convertModel",
    "explainConfig",
    "fitModel",
  ]);
});

test("classes keep their names in the CommonJS file", () => {
  const file = fileURLToPath(new URL("../dist/cjs/index.js", import.meta.url));
  const code = `for (const value of Object.values(require(${JSON.stringify(file)}))) console.log(value.name);`;
  const names = execFileSync(process.execPath, ["--eval", code], { encoding: "utf8" });
  expect(names.trim().split("\n").sort()).toEqual(Object.keys(api).sort());
});
