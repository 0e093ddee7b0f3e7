import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { embedderFolder, embeddingCases, rerankingCases } from "../helpers/embedder-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { type CliOptions, runCli } from "../helpers/run-cli.js";

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "embed-"));
});
afterAll(() => rm(home, { recursive: true }));

const run = (args: string[], options: CliOptions = {}) =>
  runCli(args, { ...options, env: { HOME: home } });
const linesOf = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describeNative("llm-client embed", () => {
  const model = embedderFolder("bert");
  const { texts, vectors } = embeddingCases("bert")[0]!;

  test("prints a vector for each line of stdin", async () => {
    const input = `${texts[0]}\n\n${texts[1]}\r\n`;
    const { code, stdout, stderr } = await run(["embed", "-p", "mlx", "-m", model], { input });
    expect([code, stderr]).toEqual([0, ""]);
    const lines = linesOf(stdout) as number[][];
    expect(lines).toHaveLength(2);
    for (const [row, vector] of lines.entries()) {
      for (const [place, number] of vector.entries()) {
        expect(number).toBeCloseTo(vectors[row]![place]!, 4);
      }
    }
  });

  test("prints one object, with what was cut on stderr", async () => {
    const args = ["embed", "-m", model, "-p", "mlx", "--json", "--truncate", "--dimensions", "4"];
    const { stdout, stderr } = await run([...args, "river ".repeat(60)]);
    expect(JSON.parse(stdout).embeddings[0]).toHaveLength(4);
    expect(stderr).toBe("warning: 1 of 1 texts were cut to 48 tokens\n");
  });

  test("wants texts", async () => {
    const { code, stderr } = await run(["embed", "-p", "mlx", "-m", model], { input: "\n" });
    expect(code).toBe(2);
    expect(stderr).toContain("There are no texts.");
  });
});

describeNative("llm-client rerank", () => {
  test("prints the best documents", async () => {
    const { query, documents, scores } = rerankingCases("bert-reranker")[0]!;
    const model = embedderFolder("bert-reranker");
    const { code, stdout } = await run(
      ["rerank", "-p", "mlx", "-m", model, "--top-n", "1", query],
      { input: documents.join("\n") },
    );
    const best = scores.indexOf(Math.max(...scores));
    expect(code).toBe(0);
    expect(linesOf(stdout)).toEqual([
      { index: best, score: expect.closeTo(scores[best]!, 4), document: documents[best] },
    ]);
  });
});
