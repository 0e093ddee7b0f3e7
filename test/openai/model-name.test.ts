import { isSameModel } from "../../src/openai/model-name.js";

test.each([
  ["qwen3-8b", "qwen3-8b"],
  ["Qwen3-8B", "qwen3-8b"],
  ["qwen3-8b", "qwen/qwen3-8b"],
  ["qwen/qwen3-8b", "qwen3-8b"],
  ["qwen3-8b", "qwen3-8b@q4_k_m"],
  ["qwen3-8b@4bit", "qwen/qwen3-8b"],
  ["qwen3-8b@4bit", "qwen3-8b@4BIT:2"],
  ["qwen3-8b", "qwen3-8b:2"],
  ["llama3.2", "llama3.2:latest"],
  ["llama3.2:1b", "llama3.2:1b"],
  ["gpt-4o", "gpt-4o-2024-08-06"],
  ["mlx-community/tiny", "default_model"],
  ["tiny", "/home/me/models/tiny"],
])("%s may be answered by %s", (asked, served) => {
  expect(isSameModel(asked, served)).toBe(true);
});

test.each([
  ["qwen3-8b", "qwen3-4b"],
  ["gpt-4", "gpt-4o"],
  ["llama-3", "llama-3.2-1b"],
  ["gpt-4o-2024-08-06", "gpt-4o"],
  ["qwen3-8b@4bit", "qwen3-8b@8bit"],
  ["one/qwen3-8b", "other/qwen3-8b"],
  ["llama3.2:1b", "llama3.2:3b"],
  ["tiny/", "anything"],
])("%s is not answered by %s", (asked, served) => {
  expect(isSameModel(asked, served)).toBe(false);
});
