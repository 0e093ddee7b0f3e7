// A transcript in, notes in Markdown out; asks Ollama or LM Studio:
// LLM_CLIENT_MODEL=qwen3 node examples/summarize-meeting.mjs transcript.txt > notes.md
import { readFile } from "node:fs/promises";
import { LLMClient, LLMError } from "mlx-llm-client";

const file = process.argv[2] ?? new URL("data/meeting.txt", import.meta.url);
const text = { type: "string" };
const task = { type: "object", properties: { who: text, what: text, due: text } };
const schema = {
  type: "object",
  properties: {
    summary: text,
    decisions: { type: "array", items: text },
    tasks: { type: "array", items: { ...task, required: ["who", "what"] } },
    questions: { type: "array", items: text },
  },
  required: ["summary", "decisions", "tasks", "questions"],
};

const list = (title, lines) =>
  lines.length === 0 ? "" : `\n## ${title}\n\n${lines.map((line) => `- ${line}\n`).join("")}`;

const client = new LLMClient();
try {
  const { content, warnings } = await client.generate({
    messages: [
      {
        role: "system",
        content:
          "You write the notes of a meeting as JSON. Say only what the transcript says. " +
          "A decision is what was agreed, a question what was left open.",
      },
      { role: "user", content: await readFile(file, "utf8") },
    ],
    responseFormat: { type: "json_schema", name: "notes", schema },
    temperature: 0,
  });
  for (const warning of warnings) console.error(`warning: ${warning}`);
  const { summary, decisions, tasks, questions } = JSON.parse(content);
  const lines = tasks.map(({ who, what, due }) => `${who}: ${what}${due ? ` (${due})` : ""}`);
  process.stdout.write(`# Notes\n\n${summary}\n`);
  process.stdout.write(list("Decisions", decisions) + list("Tasks", lines));
  process.stdout.write(list("Open questions", questions));
} catch (error) {
  if (!LLMError.is(error)) throw error;
  console.error(`${error.code}: ${error.message}\n${error.hint ?? ""}`);
  process.exitCode = 1;
} finally {
  await client.close();
}
