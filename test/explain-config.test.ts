import { explainConfig } from "../src/explain-config.js";
import { nativeAvailability } from "../src/mlx/native.js";
import type { LLMConfig } from "../src/types.js";

const explain = (config: LLMConfig, env: Record<string, string> = {}) =>
  explainConfig(config, {
    env,
    configFile: false,
    platform: { platform: "linux", arch: "x64" },
  });

const mlx = nativeAvailability();
const reason = mlx.ok ? undefined : mlx.message;

test("legs come in the order in which they are asked, with what they are asked for", () => {
  const { legs } = explain({ fallbackConfigs: [{ provider: "ollama", model: "small" }] });
  expect(
    legs.map(({ leg, provider, model, skippedBecause }) => [leg, provider, model, skippedBecause]),
  ).toEqual([
    [0, "ollama", undefined, undefined],
    [1, "lmstudio", undefined, undefined],
    [2, "mlx", "demo", reason],
    [3, "ollama", "small", undefined],
  ]);
});

test("a model that only one provider can know leaves the others out", () => {
  const { legs } = explain({ model: "demo" });
  expect(legs.map(({ leg, skippedBecause }) => [leg, skippedBecause])).toEqual([
    [2, reason],
    [0, '"demo" is a model of mlx'],
    [1, '"demo" is a model of mlx'],
  ]);
});

test("a leg without a model of its own is not asked for that of another provider", () => {
  const fallbackConfigs = [{ provider: "lmstudio" as const }];
  const { legs } = explain({ provider: "ollama", model: "qwen3", fallbackConfigs });
  expect(legs[1]?.skippedBecause).toContain('"qwen3" is one of ollama');
});

test("a single provider is reported too where it cannot work", () => {
  expect(explain({ provider: "mlx" }).legs[0]?.skippedBecause).toBe(reason);
});

test("a report can be written as JSON, without keys", () => {
  const report = explain({ provider: "lmstudio" }, { LMSTUDIO_API_KEY: "hush" });
  expect(JSON.parse(JSON.stringify(report))).toEqual(report);
  expect(JSON.stringify(report)).not.toContain("hush");
});
