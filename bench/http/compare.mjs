// Our client on both APIs against the npm client of each, on the same server and in the same round.
import { join } from "node:path";
import { root, say } from "../../scripts/native/tools.mjs";
import { summary } from "../pairs.mjs";
import { runClient } from "./processes.mjs";

/** What is measured, by name, with the figures of it that are compared. */
export const measurements = {
  "requests-1": [{ title: "requests/s, one at a time", figure: "perSecond", goal: 1 }],
  "requests-64": [{ title: "requests/s, 64 at a time", figure: "perSecond", goal: 1 }],
  streams: [{ title: "tokens/s, 1,000 streams", figure: "perSecond", goal: 1.5 }],
  steady: [{ title: "tokens/CPU s, 1,000 of 20/s", figure: "perCpuSecond", goal: 1.5 }],
  "first-token": [{ title: "added to first token, ms", figure: "added", isCost: true, goal: 1 }],
  memory: [
    { title: "heap of a stream, KiB", figure: "heap", isCost: true, goal: 1 },
    { title: "memory of a stream, KiB", figure: "resident", isCost: true, goal: 1 },
  ],
};

const ours = ["ours-ollama", "ours-openai"];
const peers = ["ollama", "openai"];

/** Runs a measurement with all clients in turns; gives back a row for each of its figures. */
export async function compare(name, url, rounds) {
  const results = [];
  for (let round = 0; round < rounds; round++) results.push(await runRound(name, url, round));
  return measurements[name].map((what) => toRow(what, results));
}

/** Each client once, in a process of its own. */
async function runRound(name, url, round) {
  const program = join(root, "bench", "http", "client-process.mjs");
  // Who comes last may meet another machine than who came first.
  const order = round % 2 === 0 ? [...ours, ...peers] : [...peers, ...ours];
  const result = {};
  for (const client of order) {
    result[client] = JSON.parse(await runClient(["--expose-gc", program, client, name, url]));
  }
  return result;
}

function toRow({ title, figure, isCost = false, goal }, results) {
  const median = (client) => summary(results.map((result) => result[client][figure])).median;
  const timesBetter = (client) =>
    summary(
      results.map((result) => {
        const values = peers.map((peer) => result[peer][figure]);
        const own = result[client][figure];
        return isCost ? Math.min(...values) / own : own / Math.max(...values);
      }),
    );
  const row = {
    title,
    goal,
    medians: Object.fromEntries([...ours, ...peers].map((client) => [client, median(client)])),
    ratios: Object.fromEntries(ours.map((client) => [client, timesBetter(client)])),
  };
  say(`bench: ${title} ${ours.map((client) => row.ratios[client].median.toFixed(2)).join(" ")}`);
  return row;
}
