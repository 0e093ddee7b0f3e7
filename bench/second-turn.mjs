// What a model that remembers a chat saves in its second turn.
import { basename } from "node:path";
import { say } from "../scripts/native/tools.mjs";
import { alternate, compared } from "./pairs.mjs";
import { generate, loadOurs } from "./speed.mjs";

const firstTurn = 2000;
const secondTurn = 40;

/** Milliseconds to the first token of a second turn, with the prompt cache and without. */
export async function measureSecondTurn({ addon, folders, pairs }) {
  const title = "second turn, ms to first token";
  const table = { title, other: "without", comparison: "without / with", digits: 1, rows: [] };
  for (const folder of folders) {
    const model = await loadOurs(addon, folder);
    await model.limitPromptCache({ bytes: 1e9 });
    let chats = 0;
    // Each chat is another one, so that the cache knows nothing but its first turn.
    const chat = async (promptCache) => {
      chats += 1;
      const prompt = Array.from(
        { length: firstTurn },
        (_, place) => (chats * 31 + place * 7) % 1000,
      );
      const { ids } = await generate(model, prompt, { maxTokens: 16, promptCache });
      const next = [...prompt, ...ids, ...prompt.slice(0, secondTurn)];
      return (await generate(model, next, { maxTokens: 1, promptCache })).promptMs;
    };
    const samples = await alternate(
      pairs,
      () => chat(true),
      () => chat(false),
    );
    const name = basename(folder);
    const row = compared(name, samples, (ours, theirs) => theirs / ours, "≥ 5");
    say(`bench: ${name} second turn ${row.comparison.median.toFixed(1)}`);
    table.rows.push(row);
    model.close();
  }
  return table;
}
