// One phase of work for a second or more; prints the delays of the event loop meanwhile, in ms.
//   node bench/event-loop-process.mjs idle|load|prefill|decode MODEL-FOLDER
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { LLMClient } from "../dist/esm/index.js";

const [phase, model] = process.argv.slice(2);
const duration = 1000;
const newClient = () => new LLMClient({ provider: "mlx", model });
const ask = (client, messages, maxTokens) =>
  client.generate({ messages, maxTokens, temperature: 0 });

const client = newClient();
const longPrompt = "The quick brown fox jumps over the lazy dog. ".repeat(20);
const work = {
  idle: () => sleep(duration),
  // A new client loads the model again, the first one the addon and the libraries too.
  load: async () => {
    const another = newClient();
    await ask(another, "Hi", 1);
    await another.close();
  },
  prefill: () => ask(client, longPrompt, 1),
  decode: () => ask(client, "Hi", 200),
}[phase];

// These phases are about a model that is loaded already.
if (phase === "prefill" || phase === "decode") await ask(client, "Hi", 1);
await sleep(100);

const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();
const end = performance.now() + duration;
while (performance.now() < end) await work();
delays.disable();

const milliseconds = (nanoseconds) => nanoseconds / 1e6;
const result = { p99: milliseconds(delays.percentile(99)), longest: milliseconds(delays.max) };
console.log(JSON.stringify(result));
await client.close();
