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
  ["default_model", "/home/me/models/tiny"],
  ["tiny", "/home/me/models/tiny"],
  ["lmstudio-community/Qwen3-8B-GGUF", "qwen3-8b"],
  ["lmstudio-community/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf", "qwen/qwen3-8b@q4_k_m"],
  ["mlx-community/Qwen3-8B-4bit", "qwen/qwen3-8b"],
  ["qwen3-8b", "/models/Qwen3-8B-MXFP4.gguf"],
  ["nomic-ai/nomic-embed-text-v1.5-GGUF", "text-embedding-nomic-embed-text-v1.5"],
  ["text-embedding-3-small", "text-embedding-3-small"],
])("%s may be answered by %s", (asked, served) => {
  expect(isSameModel(asked, served)).toBe(true);
});

test.each([
  ["qwen3-8b", "qwen3-4b"],
  ["gpt-4", "gpt-4o"],
  ["llama-3", "llama-3.2-1b"],
  ["gpt-4o-2024-08-06", "gpt-4o"],
  ["qwen3-8b@4bit", "qwen3-8b@8bit"],
  ["mlx-community/Qwen3-8B-4bit", "mlx-community/Qwen3-8B-8bit"],
  ["mlx-community/Qwen3-8B-4bit", "qwen/qwen3-4b"],
  ["one/qwen3-8b", "other/qwen3-8b"],
  ["llama3.2:1b", "llama3.2:3b"],
  ["tiny/", "anything"],
])("%s is not answered by %s", (asked, served) => {
  expect(isSameModel(asked, served)).toBe(false);
});
