import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { embedderFolder } from "./helpers/embedder-fixtures.js";
import { describeNative } from "./helpers/native.js";
import { runCli } from "./helpers/run-cli.js";
import { type FakeLmStudio, startFakeLmStudio } from "./servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "./servers/fake-ollama.js";
import { closedPort } from "./servers/ports.js";

// Each test starts several processes.
jest.setTimeout(60_000);

const file = (name: string) => fileURLToPath(new URL(`../examples/${name}`, import.meta.url));

let home: string;
let ollama: FakeOllama;
let lmStudio: FakeLmStudio;
let env: Record<string, string>;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "examples-"));
  const models = [
    { name: "llama3.2" },
    { name: "sees", capabilities: ["completion", "vision"] },
    { name: "calls", capabilities: ["completion", "tools"] },
  ];
  ollama = await startFakeOllama({ models });
  lmStudio = await startFakeLmStudio({ models: [{ id: "qwen/qwen3-4b" }] });
  env = { HOME: home, OLLAMA_BASE_URL: ollama.url, LMSTUDIO_BASE_URL: lmStudio.url };
});

afterEach(async () => {
  await Promise.all([ollama.close(), lmStudio.close(), rm(home, { recursive: true })]);
});

/** Runs an example as its first lines tell. */
function run(name: string, args: string[] = [], more: Record<string, string> = {}) {
  return runCli(args, { file: file(name), env: { ...env, ...more } });
}

/** Makes both servers unreachable. */
async function withoutServers() {
  const url = `http://127.0.0.1:${await closedPort()}`;
  return { OLLAMA_BASE_URL: url, LMSTUDIO_BASE_URL: url };
}

describe("describe-image.mjs", () => {
  const PICTURE = { title: "A meadow", objects: ["sun"], colors: ["blue", "green"] };

  test("sends the picture with a schema and prints JSON", async () => {
    ollama.replies.set({ text: [JSON.stringify(PICTURE)] });
    const result = await run("describe-image.mjs", [], { LLM_CLIENT_MODEL: "sees" });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(result.stdout)).toEqual(PICTURE);
    const { json } = ollama.requests.find(({ path }) => path === "/api/chat")!;
    const [{ images }] = json!.messages as [{ images: string[] }];
    const picture = await readFile(file("data/picture.png"));
    expect(Buffer.from(images[0]!, "base64").equals(picture)).toBe(true);
    expect(json).toMatchObject({ format: { required: ["title", "objects", "colors"] } });
  });

  test("says when no model can see", async () => {
    const only = { LLM_CLIENT_PROVIDER: "ollama", LLM_CLIENT_MODEL: "llama3.2" };
    const { code, stderr } = await run("describe-image.mjs", [], only);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^unsupported: .*does not support images/);
  });
});

describe("summarize-meeting.mjs", () => {
  test("prints the notes of a transcript in Markdown", async () => {
    const notes = {
      summary: "The ferry opens with one boat.",
      decisions: ["Six crossings a day"],
      tasks: [
        { who: "Tobias", what: "find the fault", due: "Friday" },
        { who: "Marek", what: "call the bank" },
      ],
      questions: [],
    };
    ollama.replies.set({ text: [JSON.stringify(notes)] });
    const { code, stdout } = await run("summarize-meeting.mjs", [], {
      LLM_CLIENT_MODEL: "llama3.2",
    });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout:
        "# Notes\n\nThe ferry opens with one boat.\n" +
        "\n## Decisions\n\n- Six crossings a day\n" +
        "\n## Tasks\n\n- Tobias: find the fault (Friday)\n- Marek: call the bank\n",
    });
    const { messages } = ollama.requests.find(({ path }) => path === "/api/chat")!.json!;
    expect(messages).toMatchObject([{}, { content: expect.stringContaining("Saltmarsh") }]);
  });
});

describe("analyze-document.mjs", () => {
  const ANALYSIS = {
    summary: "It works.",
    findings: ["85 %"],
    figures: [],
    proposals: ["bollards"],
  };
  const answer = (body: Record<string, unknown>) => ({
    text: [body.format ? JSON.stringify(ANALYSIS) : "a note"],
  });

  test("reads a long document in parts and analyses what it noted", async () => {
    ollama.replies.set(answer);
    const model = { LLM_CLIENT_MODEL: "llama3.2" };
    const { code, stdout, stderr } = await run(
      "analyze-document.mjs",
      [file("data/report.txt"), "1000"],
      model,
    );
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(ANALYSIS);
    const bodies = ollama.requests.filter(({ path }) => path === "/api/chat");
    const prompts = bodies.map(({ json }) => (json!.messages as [{ content: string }])[0].content);
    expect(stderr.match(/is read/g)).toHaveLength(prompts.length - 1);
    expect(prompts.length).toBeGreaterThan(3);
    expect(Math.max(...prompts.map(({ length }) => length))).toBeLessThan(1200);
    expect(prompts.at(-1)).toContain("a note\n\na note");
  });
});

describe("tools.mjs", () => {
  test("makes the calls of the model and prints its answer", async () => {
    ollama.replies.once({ toolCalls: [{ name: "multiply", arguments: { a: 6, b: 7 } }] });
    ollama.replies.set((body) => ({
      text: [`It is ${(body.messages as { content: string }[]).at(-1)!.content}.`],
    }));
    expect(await run("tools.mjs", [], { LLM_CLIENT_MODEL: "calls" })).toMatchObject({
      code: 0,
      stdout: "It is 42.\n",
      stderr: "multiply gave 42\n",
    });
  });
});

describe("mcp.mjs", () => {
  test("calls the tools of a server and prints the answer", async () => {
    const program = fileURLToPath(new URL("fixtures/programs/mcp-server.mjs", import.meta.url));
    const sums = { command: process.execPath, args: [program, "stdio", "add"] };
    const config = join(home, "mcp.json");
    await writeFile(config, JSON.stringify({ mcpServers: { sums } }));
    ollama.replies.once({ toolCalls: [{ name: "add", arguments: { a: 7, b: 5 } }] });
    ollama.replies.set((body) => ({
      text: [`It is ${(body.messages as { content: string }[]).at(-1)!.content}.`],
    }));
    const question = [config, "What is 7 + 5?"];
    expect(await run("mcp.mjs", question, { LLM_CLIENT_MODEL: "calls" })).toMatchObject({
      code: 0,
      stdout: "It is 12.\n",
      stderr: "add gave 12\n",
    });
  });
});

describe("ai-sdk.mjs", () => {
  test("makes the calls of the model and streams its answer", async () => {
    ollama.replies.once({ toolCalls: [{ name: "multiply", arguments: { a: 6, b: 7 } }] });
    ollama.replies.set((body) => ({
      text: [`It is ${(body.messages as { content: string }[]).at(-1)!.content}.`],
    }));
    expect(await run("ai-sdk.mjs", [], { LLM_CLIENT_MODEL: "calls" })).toMatchObject({
      code: 0,
      stdout: "It is 42.\n",
      stderr: "ollama answered\nmultiply gave 42\nollama answered\n",
    });
  });

  test("tells why there is no answer", async () => {
    const { code, stderr } = await run("ai-sdk.mjs", [], { LLM_CLIENT_MODEL: "none" });
    expect(code).toBe(1);
    expect(stderr).toContain('does not have the model "none"');
  });
});

describe("langchain.mjs", () => {
  test("calls a tool, streams the answer and gives an object", async () => {
    ollama.replies.once({ toolCalls: [{ name: "multiply", arguments: { a: 6, b: 7 } }] });
    ollama.replies.once((body) => ({
      text: [`It is ${(body.messages as { content: string }[]).at(-1)!.content}.`],
    }));
    ollama.replies.once((body) => ({ text: [body.format ? '{"number":42}' : "no format"] }));
    expect(await run("langchain.mjs", [], { LLM_CLIENT_MODEL: "calls" })).toEqual({
      code: 0,
      signal: null,
      stdout: "It is 42.\n{ number: 42 }\n",
      stderr: "multiply gave 42\n",
    });
  });
});

describe("batch.mjs", () => {
  test("answers each prompt of a file, also where one fails", async () => {
    const prompts = join(home, "prompts.txt");
    await writeFile(prompts, "one\ntwo\nthree\n");
    const said = ({ messages }: Record<string, unknown>) =>
      (messages as [{ content: string }])[0].content;
    ollama.replies.set((body) => ({
      text: [said(body).toUpperCase()],
      promptTokens: said(body) === "two" ? 100_000 : 5,
    }));
    const only = { LLM_CLIENT_PROVIDER: "ollama", LLM_CLIENT_MODEL: "llama3.2" };
    const { code, stdout } = await run("batch.mjs", [prompts], only);
    expect(code).toBe(1);
    const lines = stdout.trim().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { prompt: "one", content: "ONE" },
      { prompt: "two", error: "context_length_exceeded" },
      { prompt: "three", content: "THREE" },
    ]);
  });
});

describe("fallback.mjs", () => {
  test("asks Ollama first", async () => {
    expect(await run("fallback.mjs", ["Hello"])).toMatchObject({
      code: 0,
      stdout: "Hello from a fake.\n",
      stderr: "answered by ollama, attempt 1\n",
    });
  });

  test("asks LM Studio when Ollama is not there", async () => {
    const { OLLAMA_BASE_URL } = await withoutServers();
    expect(await run("fallback.mjs", ["Hello"], { OLLAMA_BASE_URL })).toMatchObject({
      code: 0,
      stdout: "Hello from a fake.\n",
      stderr:
        "ollama failed (connection_refused), asking lmstudio\n" +
        "answered by lmstudio, attempt 2\n",
    });
  });
});

describeNative("examples with the demo model", () => {
  test("fallback.mjs answers in this process when no server is there", async () => {
    const result = await run("fallback.mjs", ["What is 7 + 5?"], await withoutServers());
    expect(result.code).toBe(0);
    expect(result.stdout).toContain("12");
    expect(result.stderr).toContain("lmstudio failed (connection_refused), asking mlx\n");
    expect(result.stderr).toContain("answered by mlx, attempt 3\n");
  });

  test("batch.mjs answers its own questions", async () => {
    const { code, stdout } = await run("batch.mjs", [], { LLM_CLIENT_MODEL: "demo" });
    expect(code).toBe(0);
    expect(stdout.trim().split("\n")).toHaveLength(3);
    expect(stdout).toContain("Paris");
  });

  test("structured-output.mjs prints an object that fits its schema", async () => {
    const { code, stdout, stderr } = await run("structured-output.mjs");
    expect([code, stderr]).toEqual([0, ""]);
    const { name, born, profession, ...rest } = JSON.parse(stdout) as Record<string, unknown>;
    expect([typeof name, Number.isInteger(born), rest]).toEqual(["string", true, {}]);
    expect(["mathematician", "painter", "writer"]).toContain(profession);
  });

  test("stream-object.mjs prints the parts, and what they come to", async () => {
    const { code, stdout, stderr } = await run("stream-object.mjs");
    expect(code).toBe(0);
    const parts = stderr.trim().split("\n");
    expect(parts.length).toBeGreaterThan(3);
    const { name, born, likes } = JSON.parse(parts.at(-1)!) as Record<string, unknown>;
    expect(stdout).toBe(`${name}, ${born}: ${(likes as string[]).join(", ")}\n`);
  });

  test("generate.mjs prints the answer", async () => {
    const result = await run("generate.mjs", ["What is 7 + 5?"]);
    expect(result).toMatchObject({ code: 0, signal: null });
    expect(result.stdout).toContain("12");
    expect(result.stderr).toMatch(/^\d+ tokens, the first after [\d.]+ ms\n$/);
  });

  test("stream.mjs prints the answer, or its beginning when time is up", async () => {
    const whole = await run("stream.mjs", ["Hello", "30000"]);
    expect(whole).toMatchObject({ code: 0, stderr: "\nfinished by stop\n" });
    expect(whole.stdout).not.toBe("");
    const ended = await run("stream.mjs", ["Hello", "1"]);
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain("ended after 1 ms");
  });

  test("conversation.cjs takes several turns through require", async () => {
    const { code, stdout } = await run("conversation.cjs");
    expect(code).toBe(0);
    expect(stdout).toContain("> What is the capital of France?\n");
    expect(stdout).toContain("Paris");
  });
});

describeNative("opentelemetry.mjs", () => {
  test("prints the spans of a call", async () => {
    const { code, stdout, stderr } = await run("opentelemetry.mjs", [], await withoutServers());
    expect([code, stdout.includes("12")]).toEqual([0, true]);
    expect(stderr).toMatch(/^attempt mlx: \d+ ms.*\nchat demo: \d+ ms/ms);
    expect(stderr).toContain("'gen_ai.provider.name': 'mlx'");
  });
});

describeNative("serve.mjs", () => {
  test("serves, asks itself and ends", async () => {
    const result = await run("serve.mjs");
    expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining("12") });
    expect(result.stderr).toMatch(/^listening on http:\/\/127\.0\.0\.1:\d+\n$/);
  });
});

describeNative("embed.mjs and rerank.mjs", () => {
  const passages = ["The bank lends money.", "A river runs past the mill."].join("\n");

  test("search the lines of a file by meaning", async () => {
    const text = join(home, "passages.txt");
    await writeFile(text, passages);
    const found = await run("embed.mjs", [embedderFolder("bert"), "The bank lends money.", text]);
    expect(found.code).toBe(0);
    expect(found.stdout).toMatch(/^0\.\d+ The bank lends money\.\n-?\d\.\d+ A river/);
    const models = [embedderFolder("bert"), embedderFolder("bert-reranker")];
    const ranked = await run("rerank.mjs", [...models, "Who lends money?", text]);
    expect(ranked).toMatchObject({ code: 0, stderr: "" });
    expect(ranked.stdout.trimEnd().split("\n")).toHaveLength(2);
  });
});
