import { nearestName } from "../src/nearest-name.js";

const known = ["model", "baseUrl", "mlx-community/Qwen3-0.6B-4bit"];

test.each([
  ["modle", "model"],
  ["modl", "model"],
  ["Model", "model"],
  ["base_url", "baseUrl"],
  ["qwen3-0.6b-4bits", "mlx-community/Qwen3-0.6B-4bit"],
  ["temperature", undefined],
  ["m", undefined],
])("%s stands for %s", (name, expected) => {
  expect(nearestName(name, known)).toBe(expected);
});
