// A text of any length in, an analysis in JSON out; asks Ollama or LM Studio. The second argument
// is how many characters are read at a time:
// LLM_CLIENT_MODEL=qwen3 node examples/analyze-document.mjs report.txt 6000
import { readFile } from "node:fs/promises";
import { LLMClient, LLMError } from "mlx-llm-client";

const file = process.argv[2] ?? new URL("data/report.txt", import.meta.url);
const size = Number(process.argv[3] ?? 6000);
const texts = { type: "array", items: { type: "string" } };
const schema = {
  type: "object",
  properties: { summary: { type: "string" }, findings: texts, figures: texts, proposals: texts },
  required: ["summary", "findings", "figures", "proposals"],
};

/** Whole paragraphs together, up to so many characters; only a longer one is cut. */
function partsOf(text) {
  const longest = new RegExp(`.{1,${size}}`, "gs");
  const parts = [];
  for (const paragraph of text.split(/\n\s*\n/).flatMap((each) => each.match(longest) ?? [])) {
    const last = parts.at(-1);
    const isFull = last === undefined || last.length + paragraph.length > size;
    if (isFull) parts.push(paragraph);
    else parts[parts.length - 1] = `${last}\n\n${paragraph}`;
  }
  return parts;
}

const client = new LLMClient({ maxConcurrent: 2 });
try {
  const parts = partsOf(await readFile(file, "utf8"));
  const notes = await Promise.all(
    parts.map(async (part, index) => {
      const ask = "Note the facts, figures and proposals of this part of a document.";
      const { content } = await client.generate({ messages: `${ask}\n\n${part}`, temperature: 0 });
      console.error(`part ${index + 1} of ${parts.length} is read`);
      return content;
    }),
  );
  const { content } = await client.generate({
    messages: `Analyse a document from these notes, as JSON.\n\n${notes.join("\n\n")}`,
    responseFormat: { type: "json_schema", name: "analysis", schema },
    temperature: 0,
  });
  console.log(JSON.stringify(JSON.parse(content), undefined, 2));
} catch (error) {
  if (!LLMError.is(error)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.hint ?? ""}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
