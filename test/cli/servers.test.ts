import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LLMConfig, LLMResponse, ModelInfo } from "../../src/index.js";
import { type CliOptions, type CliResult, runCli } from "../helpers/run-cli.js";
import {
  type FakeLmStudio,
  LM_STUDIO_TOKEN,
  startFakeLmStudio,
} from "../servers/fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";
import { closedPort, startSilentServer } from "../servers/ports.js";

// Each test starts a process or two.
jest.setTimeout(60_000);

const TEXT = "Hello from a fake.\n";
const TINY_PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

let home: string;
let ollama: FakeOllama;
let lmStudio: FakeLmStudio;
let nobody: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "cli-"));
});
afterAll(() => rm(home, { recursive: true }));

beforeEach(async () => {
  ollama = await startFakeOllama();
  lmStudio = await startFakeLmStudio();
  nobody = `http://127.0.0.1:${await closedPort()}`;
});
afterEach(() => Promise.all([ollama.close(), lmStudio.close()]));

const run = (args: string[], { env, ...options }: CliOptions = {}): Promise<CliResult> =>
  runCli(args, {
    ...options,
    env: {
      HOME: home,
      OLLAMA_BASE_URL: ollama.url,
      LMSTUDIO_BASE_URL: lmStudio.url,
      LLM_CLIENT_RETRY_DELAY: "0.01",
      ...env,
    },
  });

async function withFile(name: string, content: string | Buffer): Promise<string> {
  const file = join(home, name);
  await writeFile(file, content);
  return file;
}

/** Runs with a configuration file, in which the fakes are where nothing else is told. */
async function runConfigured(legs: LLMConfig[], args: string[]): Promise<CliResult> {
  const addresses = { ollama: ollama.url, lmstudio: lmStudio.url, mlx: undefined };
  const [first, ...fallbackConfigs] = legs.map((leg) => ({
    baseUrl: addresses[leg.provider as "ollama"],
    ...leg,
  }));
  const file = await withFile("config.json", JSON.stringify({ ...first, fallbackConfigs }));
  const env = { OLLAMA_BASE_URL: "", LMSTUDIO_BASE_URL: "" };
  return run([...args, "--config", file], { env });
}

/** Durations differ from run to run. */
const timeless = (text: string) =>
  text.replace(/\d+(\.\d+)? (m?s\b)/g, "N $2").replace(/^(time: N ms, ).*/m, "$1…");

describe("generate", () => {
  test.each(["ollama:tiny", "lmstudio:tiny-chat"])("streams from %s to a pipe", async (model) => {
    const result = await run(["generate", "-m", model, "Hi"]);
    expect(result).toEqual({ code: 0, signal: null, stdout: TEXT, stderr: "" });
  });

  test("takes the address from the flag", async () => {
    const env = { OLLAMA_BASE_URL: nobody };
    const args = ["generate", "-p", "ollama", "-u", ollama.url, "-m", "tiny", "Hi"];
    expect(await run(args, { env })).toMatchObject({ code: 0, stdout: TEXT });
  });

  test("reaches a server through the proxy that the environment names", async () => {
    const proxy = createServer().on("connect", ({ url }, client) => {
      const server = connect(Number(new URL(ollama.url).port), "127.0.0.1");
      client.write(`HTTP/1.1 200 OK\r\nfor: ${url}\r\n\r\n`);
      server.pipe(client).pipe(server);
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    const { port } = proxy.address() as AddressInfo;
    const env = { OLLAMA_BASE_URL: "http://ollama.test", http_proxy: `http://127.0.0.1:${port}` };
    expect(await run(["generate", "-m", "ollama:tiny", "Hi"], { env })).toMatchObject({
      code: 0,
      stdout: TEXT,
    });
    proxy.close();
  });

  test("--json prints the response alone", async () => {
    const { code, stdout, stderr } = await run(["generate", "-m", "ollama:tiny", "--json", "Hi"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toMatchObject({
      content: TEXT.trim(),
      provider: "ollama",
      model: "tiny",
      finishReason: "stop",
    } satisfies Partial<LLMResponse>);
  });

  test("says who was taken where no model was named", async () => {
    const { stdout, stderr } = await run(["generate", "-p", "ollama", "Hi"]);
    expect([stdout, stderr]).toEqual([
      TEXT,
      'warning: no model was named, so "tiny:latest" answers\n',
    ]);
  });

  test("says what a provider leaves out, and refuses what it must not leave out", async () => {
    const { stdout, stderr } = await run([
      "generate",
      ...["-p", "ollama", "-u", `${ollama.url}/v1`, "-m", "tiny", "--top-k", "3", "Hi"],
    ]);
    expect([stdout, stderr]).toEqual([
      TEXT,
      "warning: topK was left out: ollama does not support it\n",
    ]);
    const args = ["generate", "-m", "lmstudio:tiny-chat", "--json", "--logprobs", "Hi"];
    const refused = await run(args);
    expect([refused.code, refused.stdout]).toEqual([2, ""]);
    expect(refused.stderr).toContain('Provider "lmstudio" does not support logprobs');
  });

  test("prints reasoning on stderr, and --hide-reasoning does not", async () => {
    ollama.replies.set({ reasoning: ["Some", "one"], text: ["Hi", "!"] });
    const args = ["generate", "-m", "ollama:tiny-thinking", "--reasoning", "on", "Hi"];
    expect(await run(args)).toMatchObject({ stdout: "Hi!\n", stderr: "Someone\n" });
    expect(ollama.requests.at(-1)?.json).toMatchObject({ think: true });
    const hidden = await run([...args, "--hide-reasoning"]);
    expect(hidden).toMatchObject({ stdout: "Hi!\n", stderr: "" });
  });

  test("sends pictures with their kind", async () => {
    const file = await withFile("dot.png", TINY_PNG);
    const model = "lmstudio:tiny-vision";
    const { code } = await run(["generate", "-m", model, "--image", file, "What is this?"]);
    expect(code).toBe(0);
    const content = [
      { type: "text", text: "What is this?" },
      {
        type: "image_url",
        image_url: { url: `data:image/png;base64,${TINY_PNG.toString("base64")}` },
      },
    ];
    expect(lmStudio.requests.at(-1)?.json).toMatchObject({ messages: [{ content }] });
  });

  test("--schema takes a file, or JSON", async () => {
    const schema = { type: "object", properties: { born: { type: "integer" } } };
    const text = JSON.stringify(schema);
    for (const given of [text, await withFile("person.json", text)]) {
      ollama.replies.once({ text: ['{"born": 1815}'] });
      const { stdout } = await run(["generate", "-m", "ollama:tiny", "--schema", given, "Ada"]);
      expect(stdout).toBe('{"born": 1815}\n');
      expect(ollama.requests.at(-1)?.json).toMatchObject({ format: schema });
    }
  });

  test.each(["ollama", "lmstudio"] as const)("--tools offers tools to %s", async (provider) => {
    const tools = [{ type: "function", function: { name: "look", description: "Looks." } }];
    const given = await withFile("tools.json", JSON.stringify(tools));
    const model = provider === "ollama" ? "tiny-tools" : "tiny-chat";
    const server = provider === "ollama" ? ollama : lmStudio;
    server.replies.set({ toolCalls: [{ name: "look", arguments: { at: "it" } }] });
    const ask = ["generate", "-m", `${provider}:${model}`, "--tools", given, "Look."];
    expect(await run(ask)).toMatchObject({
      code: 0,
      stdout: "",
      stderr: 'call: look({"at":"it"})\n',
    });
    expect(server.requests.at(-1)?.json).toMatchObject({
      tools: [{ function: { name: "look", description: "Looks." } }],
    });
    const { stdout } = await run([...ask, "--json"]);
    const response = JSON.parse(stdout) as LLMResponse;
    expect(response.toolCalls).toMatchObject([{ name: "look", arguments: { at: "it" } }]);
  });

  test.each([
    [["--tools", "nosuch.json"], "The list of tools nosuch.json does not exist."],
    [["--tools", "package.json"], "The list of tools package.json is no JSON list."],
    [["--tools", "[1]"], "The request is wrong: tools[0] is 1"],
    [["--image", "nosuch.png"], "The image nosuch.png does not exist."],
    [["--image", "package.json"], "The image package.json is no PNG, JPEG, GIF or WebP file."],
    [["--schema", "src"], "The schema src is a folder."],
    [["--schema", "{"], "The schema is not JSON: "],
  ])("%j is refused before anything is sent", async (flags, message) => {
    const { code, stderr } = await run(["generate", "-m", "ollama:tiny", ...flags, "Hi"]);
    expect(code).toBe(2);
    expect(stderr).toContain(`llm-client: ${message}`);
    expect(ollama.requests).toEqual([]);
  });
});

describe("fallback", () => {
  const toLmStudio = ["generate", "-m", "tiny-chat", "Hi"];

  test("a note tells who answers instead", async () => {
    const result = await run(toLmStudio, { env: { OLLAMA_BASE_URL: nobody } });
    expect(result).toMatchObject({
      code: 0,
      stdout: TEXT,
      stderr: "note: ollama failed (connection refused), lmstudio answers\n",
    });
  });

  test("there is no note with --json, which tells the same", async () => {
    const { stdout, stderr } = await run([...toLmStudio, "--json"]);
    expect(stderr).toBe("");
    const response = JSON.parse(stdout) as LLMResponse;
    expect(response).toMatchObject({ usedFallback: true, fallbackProvider: "lmstudio" });
  });

  test("-v tells what happens when it happens, and all of it at the end", async () => {
    ollama.fault("server-error", { times: 2 });
    const legs: LLMConfig[] = [
      { provider: "lmstudio", baseUrl: nobody, model: "x" },
      { provider: "ollama", model: "tiny" },
    ];
    const { stdout, stderr } = await runConfigured(legs, ["generate", "-v", "Hi"]);
    expect(stdout).toBe(TEXT);
    expect(timeless(stderr)).toBe(
      `attempt 1 (leg 0): lmstudio x: connection_refused, phase connect, N ms
fallback: from lmstudio to ollama
attempt 2 (leg 1): ollama tiny: server_error, status 500, phase load, N ms
retry: in N s, because Ollama failed (status 500): internal server error.
attempt 3 (leg 1): ollama tiny: server_error, status 500, phase load, N ms
retry: in N s, because Ollama failed (status 500): internal server error.
usage: 12 prompt tokens, 6 completion tokens, 18 in total
model: tiny (ollama), finished by stop
time: N ms, …
attempt 1 (leg 0): lmstudio x: connection_refused, phase connect, N ms
attempt 2 (leg 1): ollama tiny: server_error, status 500, phase load, N ms
attempt 3 (leg 1): ollama tiny: server_error, status 500, phase load, N ms
attempt 4 (leg 1): ollama tiny: ok, status 200, N ms
`,
    );
  });

  test("-v tells of a provider that was skipped", async () => {
    const legs: LLMConfig[] = [
      { provider: "lmstudio", baseUrl: nobody, model: "x" },
      { provider: "mlx" },
      { provider: "ollama", model: "tiny" },
    ];
    const { stderr } = await runConfigured(legs, ["generate", "-v", "Hi"]);
    expect(stderr).toContain(
      'attempt 2 (leg 1): mlx demo: skipped: it has no model of its own, and "x" is one of lmstudio\n',
    );
    const brief = await runConfigured(legs, ["generate", "Hi"]);
    expect(brief.stderr).toBe(
      "note: lmstudio failed (connection refused), mlx was skipped, ollama answers\n",
    );
  });

  test("--no-stream and --json wait for another provider where a reply breaks off", async () => {
    ollama.fault("cut");
    const legs: LLMConfig[] = [
      { provider: "ollama", model: "tiny" },
      { provider: "lmstudio", model: "tiny-chat" },
    ];
    for (const flag of ["--no-stream", "--json"]) {
      const { code, stdout } = await runConfigured(legs, ["generate", flag, "Hi"]);
      expect(code).toBe(0);
      expect(stdout).toContain(TEXT.trim());
    }
  });
});

describe("exit codes", () => {
  const hi = (...args: string[]) => ["generate", ...args, "Hi"];

  test("3: nobody listens there", async () => {
    const { code, stdout, stderr } = await run(hi("-p", "ollama", "-u", nobody, "-m", "tiny"));
    expect([code, stdout]).toEqual([3, ""]);
    expect(stderr).toBe(
      `llm-client: Ollama at ${nobody} refused the connection.\n` +
        "hint: Is Ollama running? Start it with `ollama serve`.\n",
    );
  });

  test("3: all failed, each in its own way", async () => {
    const legs: LLMConfig[] = [
      { provider: "ollama", model: "nosuch" },
      { provider: "lmstudio", baseUrl: nobody, model: "x" },
    ];
    const { code, stderr } = await runConfigured(legs, hi());
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /^llm-client: No provider could answer\.\n {2}ollama: .*nosuch.*\n {2}lmstudio: .*refused/m,
    );
  });

  test("4: the key is wrong, wherever one asks", async () => {
    const closed = await startFakeLmStudio({ token: LM_STUDIO_TOKEN });
    try {
      const leg = { provider: "lmstudio", baseUrl: closed.url, model: "tiny-chat" } as const;
      const result = await runConfigured([leg], hi());
      expect(result.code).toBe(4);
      expect(result.stderr).toContain("hint: Set apiKey or LMSTUDIO_API_KEY");
      expect((await runConfigured([leg, { ...leg, model: "x" }], hi())).code).toBe(4);
      const env = { LMSTUDIO_API_KEY: LM_STUDIO_TOKEN, LMSTUDIO_BASE_URL: closed.url };
      expect(await run(hi("-m", "lmstudio:tiny-chat"), { env })).toMatchObject({ stdout: TEXT });
    } finally {
      await closed.close();
    }
  });

  test("5: none of them has the model", async () => {
    expect((await run(hi("-m", "ollama:nosuch"))).code).toBe(5);
    const { code, stderr } = await run(hi("-m", "nosuch"));
    expect(code).toBe(5);
    expect(stderr).toContain("hint: Get it with `ollama pull nosuch`.");
  });

  test("6: the prompt is too long", async () => {
    const { code, stderr } = await run(["generate", "-m", "ollama:tiny"], {
      input: "x ".repeat(5000),
    });
    expect(code).toBe(6);
    expect(stderr).toMatch(/context/);
  });

  test("7: no answer in time", async () => {
    const silent = await startSilentServer();
    const args = ["-p", "ollama", "-u", silent.url, "--timeout", "0.2", "-m", "tiny"];
    expect((await run(hi(...args))).code).toBe(7);
    await silent.close();
  });

  test.each([
    [8, "cut", "The reply broke off: "],
    [7, "silence", "1 s"],
  ] as const)("%d: %s in the middle; what came before stays", async (expected, fault, reason) => {
    ollama.fault(fault, { afterPieces: 2 });
    // The beginning may take long where the machine is busy; a timeout alone would be for it, too.
    const leg = { provider: "ollama", model: "tiny", timeout: 1, firstTokenTimeout: 60 } as const;
    const { code, stdout, stderr } = await runConfigured([leg], hi());
    expect([code, stdout]).toEqual([expected, "Hello from\n"]);
    expect(stderr).toMatch(/^llm-client: /);
    expect(stderr).toContain(reason);
  });

  test("-v tells the attempts of a failure, and where it was thrown", async () => {
    const { stderr } = await run(hi("-v", "-p", "ollama", "-u", nobody, "-m", "tiny"));
    const attempt = "attempt 1 (leg 0): ollama tiny: connection_refused, phase connect, N ms\n";
    expect(timeless(stderr).startsWith(attempt)).toBe(true);
    expect(timeless(stderr)).toContain(`\n${attempt}ConnectionError: `);
  });

  test("--json leaves stdout empty", async () => {
    const { code, stdout, stderr } = await run(hi("--json", "-m", "ollama:nosuch"));
    expect([code, stdout]).toEqual([5, ""]);
    expect(stderr).toMatch(/^llm-client: .*nosuch/);
  });

  test.each(["generate", "models", "health"])("130: Ctrl-C while %s waits", async (command) => {
    const silent = await startSilentServer();
    const interrupt = (child: ChildProcess) => setTimeout(() => child.kill("SIGINT"), 1000);
    const words = command === "generate" ? ["Hi"] : [];
    const start = performance.now();
    const result = await run([command, "-p", "ollama", "-u", silent.url, ...words], {
      with: interrupt,
    });
    await silent.close();
    expect(result).toEqual({ code: 130, signal: null, stdout: "", stderr: "" });
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe("models", () => {
  test("lists those of all providers that can be asked", async () => {
    const { code, stdout, stderr } = await run(["models"], { env: { LMSTUDIO_BASE_URL: nobody } });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^tiny:latest\tollama\t995379\tF16\t\d*\tllama\t\t\t\t\n/);
    expect(stderr).toBe(`warning: Left out: LM Studio at ${nobody} refused the connection.\n`);
  });

  test("marks those in memory", async () => {
    lmStudio.models.load("tiny-chat");
    const { stdout } = await run(["models", "-p", "lmstudio"]);
    expect(stdout).toMatch(/^tiny-chat\tlmstudio\t.*\tloaded\tcompletion,tools\t$/m);
    expect(stdout).toMatch(/^tiny-reasoner\tlmstudio\t.*\t\tcompletion,thinking\t$/m);
  });

  test("-m filters, and --json prints a list", async () => {
    const { stdout } = await run(["models", "--json", "-m", "ollama:tiny"]);
    const models = JSON.parse(stdout) as ModelInfo[];
    expect(models.map(({ id, provider }) => [id, provider])).toEqual([["tiny:latest", "ollama"]]);
    expect((await run(["models", "-m", "nosuch"])).code).toBe(5);
  });

  test("ends with 3 where nobody can be asked", async () => {
    const { code, stdout, stderr } = await run(["models", "-p", "ollama", "-u", nobody]);
    expect([code, stdout]).toEqual([3, ""]);
    expect(stderr).toContain("refused the connection");
  });
});

describe("health", () => {
  const health = (...args: string[]) => run(["health", ...args]);

  test("tells what is known of a server", async () => {
    const { code, stdout, stderr } = await health("-m", "ollama:tiny");
    expect([code, stderr]).toEqual([0, ""]);
    expect(timeless(stdout)).toBe(`ollama: ready
  address: ${ollama.url}
  reachable: yes
  authenticated: yes
  version: 0.17.4
  model: tiny, not loaded
  checked in: N ms
`);
  });

  test("is well as long as one provider is", async () => {
    const legs: LLMConfig[] = [{ provider: "ollama", baseUrl: nobody }, { provider: "lmstudio" }];
    const { code, stdout } = await runConfigured(legs, ["health"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ollama: not usable\n[\s\S]*lmstudio: ready\n/);
  });

  test("ends with the code of what is wrong", async () => {
    expect((await health("-p", "ollama", "-u", nobody)).code).toBe(3);
    expect((await health("-m", "ollama:nosuch")).code).toBe(5);
    lmStudio.fault("unauthorized", { on: "everything" });
    const { code, stdout } = await health("-p", "lmstudio");
    expect(code).toBe(4);
    expect(stdout).toContain("authenticated: no\n");
    expect(stdout).toContain("hint: Set apiKey");
  });
});
