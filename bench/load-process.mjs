// Loads a model, says so, and answers once; then prints the most memory that it took, in bytes.
//   node bench/load-process.mjs MODEL-FOLDER
import { LLMClient } from "../dist/esm/index.js";
import { loadAddon } from "./addon.mjs";

const client = new LLMClient({ provider: "mlx", model: process.argv[2] });
await client.loadModel();
console.log("ready");
await client.generate({ messages: "What is 7 + 5?", maxTokens: 16, temperature: 0 });
const { maxRSS } = process.resourceUsage(); // kilobytes
console.log(JSON.stringify({ process: maxRSS * 1024, mlx: loadAddon().memory().peak }));
await client.close();
