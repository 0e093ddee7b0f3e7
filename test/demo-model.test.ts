import { readFileSync, statSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { LLMClient, type Message } from "../src/index.js";
import { describeNative } from "./helpers/native.js";

interface Question {
  kind: string;
  messages: Message[];
  answer: string;
}

const root = join(__dirname, "..");
const { questions } = JSON.parse(
  readFileSync(join(root, "test/fixtures/demo-questions.json"), "utf8"),
) as { questions: Question[] };

test("the demo model takes at most 3 MB", () => {
  const folder = join(root, "models/demo");
  const bytes = readdirSync(folder).reduce(
    (sum, file) => sum + statSync(join(folder, file)).size,
    0,
  );
  expect(bytes).toBeLessThanOrEqual(3_000_000);
});

describeNative("the demo model", () => {
  const client = new LLMClient({ provider: "mlx", model: "demo" });
  afterAll(() => client.close());

  const ask = (messages: Message[]) => client.generate({ messages, temperature: 0, maxTokens: 96 });

  test("answers the sum of the documentation and ends its turn", async () => {
    const response = await ask([{ role: "user", content: "What is 7 + 5?" }]);
    expect(response).toMatchObject({ content: "7 + 5 = 12.", finishReason: "stop" });
  });

  test("answers 95 % of at least 200 held-out questions", async () => {
    expect(questions.length).toBeGreaterThanOrEqual(200);
    const wrong: string[] = [];
    for (const { messages, answer } of questions) {
      const { content } = await ask(messages);
      if (content !== answer) {
        wrong.push(`${messages.at(-1)?.content} → ${content}, expected ${answer}`);
      }
    }
    // Compared as text, so that a failure lists the wrong answers.
    const allowed = Math.floor(questions.length * 0.05);
    expect(wrong.length > allowed ? wrong : []).toEqual([]);
  }, 120_000);
});
