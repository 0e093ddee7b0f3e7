import type { ChildProcess } from "node:child_process";
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LLMResponse } from "../../src/index.js";
import { describeNative } from "../helpers/native.js";
import { type CliResult, runCli } from "../helpers/run-cli.js";
import { writeSafetensors } from "../helpers/safetensors-file.js";
import { makeTalkingModel } from "../helpers/talking-model.js";

// Each test starts several processes.
jest.setTimeout(60_000);
/** A second or two, with room for a busy machine; without an interruption it would be minutes. */
const SOON_MS = 4000;

let home: string;
let model: string;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "cli-"));
  model = await makeTalkingModel(join(home, "model"));
});
afterAll(() => rm(home, { recursive: true }));

const run = (args: string[], options: Parameters<typeof runCli>[1] = {}) =>
  runCli(args, { ...options, env: { HOME: home, ...options.env } });

const generate = (args: string[], options = {}) =>
  run(["generate", "-m", model, "-t", "0", "--max-tokens", "12", ...args], options);

/** What is said of a reply that --max-tokens ends. */
const CUT = "note: the reply was cut: --max-tokens is reached, or the context is full\n";

describeNative("generate", () => {
  test("streams the same content that --no-stream and --json give", async () => {
    const streamed = await generate(["Hello"]);
    expect(streamed).toMatchObject({ code: 0, stderr: CUT });
    expect(streamed.stdout).toMatch(/^[\s\S]{2,}\n$/);
    expect((await generate(["--no-stream", "Hello"])).stdout).toBe(streamed.stdout);

    const { code, stdout, stderr } = await generate(["--json", "Hello"]);
    expect([code, stderr]).toEqual([0, ""]);
    const response = JSON.parse(stdout) as LLMResponse;
    expect(response.content).toBe(streamed.stdout.replace(/\n$/, ""));
    expect(response).toMatchObject({
      model,
      provider: "mlx",
      finishReason: "length",
      usage: { promptTokens: 6, completionTokens: 12, totalTokens: 18 },
      usedFallback: false,
      retryCount: 0,
      warnings: [],
    });
  });

  test("a pipe for stdin that stays open is waited for, with advice", async () => {
    const { code, stdout, stderr } = await generate(["Hello"], {
      openStdin: true,
      with: (child: ChildProcess) => child.stderr?.once("data", () => child.stdin?.end()),
    });
    expect(code).toBe(0);
    expect(stdout).not.toBe("");
    expect(stderr).toContain("stdin, which is an open pipe");
    expect(stderr).toContain("< /dev/null");
    expect(stderr).toContain('stdio: ["ignore", …]');
  });

  test("stdin comes before the words, after it a blank line", async () => {
    const usage = async (args: string[], input?: string) => {
      const { code, stdout } = await generate(["--json", ...args], { input });
      expect(code).toBe(0);
      return (JSON.parse(stdout) as LLMResponse).usage.promptTokens;
    };
    // One token for each character, and one for the template's line break.
    expect(await usage(["ab", "c"])).toBe(5);
    expect(await usage([], "abc\n")).toBe(4);
    expect(await usage(["abc"], "12")).toBe(8);
    expect(await usage(["-"], "12")).toBe(3);
    expect(await usage(["--raw", "abc"])).toBe(3);
    expect(await usage(["--system", "xy", "abc"])).toBe(7);
  });

  test("the same seed gives the same text, another seed another text", async () => {
    const args = ["generate", "-m", model, "-t", "2", "--max-tokens", "30", "Hello", "--seed"];
    const [first, again, other] = await Promise.all(["1", "1", "2"].map((n) => run([...args, n])));
    expect(first?.stdout).toBe(again?.stdout);
    expect(first?.stdout).not.toBe(other?.stdout);
  });

  test("keys and values may be quantized, or limited in number", async () => {
    const question = "What is 7 + 5?";
    const quantized = ["--kv-bits", "8", "--kv-group-size", "32", "--quantized-kv-start", "0"];
    for (const flags of [quantized, ["--max-kv-size", "64"]]) {
      const { stdout, code } = await runCli(["generate", "-m", "demo", ...flags, question]);
      expect([stdout, code]).toEqual(["7 + 5 = 12.\n", 0]);
    }
    const { stderr, code } = await runCli(["generate", "-m", "demo", "--kv-bits", "7", question]);
    expect([stderr, code]).toEqual([expect.stringContaining("kvBits is 7, but must be one of"), 2]);
  });

  test("stop texts end the reply and are not printed", async () => {
    const { stdout } = await generate(["Hello"]);
    const stop = stdout.slice(3, 5);
    const stopped = await generate(["--stop", stop, "Hello"]);
    expect(stopped.stdout).toBe(`${stdout.slice(0, stdout.indexOf(stop))}\n`);
  });

  test("--usage and --verbose write to stderr only", async () => {
    const { stdout } = await generate(["Hello"]);
    const usage = await generate(["--usage", "Hello"]);
    expect(usage.stdout).toBe(stdout);
    expect(usage.stderr).toBe(
      `${CUT}usage: 6 prompt tokens, 12 completion tokens, 18 in total, 0 cached\n`,
    );
    const { stderr } = await generate(["-v", "Hello"]);
    expect(stderr).toMatch(
      /model: .* \(mlx\), finished by length\ntime: \d+ ms, .*tokens\/s\nattempt 1 \(leg \d\): mlx/,
    );
  });

  test("--json with alternatives lists them for each token", async () => {
    const { stdout } = await generate(["--json", "--top-logprobs", "2", "Hello"]);
    const { logprobs } = JSON.parse(stdout) as LLMResponse;
    expect(logprobs).toHaveLength(12);
    expect(logprobs?.[0]?.topLogprobs).toHaveLength(2);
    expect(logprobs?.[0]?.topLogprobs[0]?.logprob).toBeCloseTo(logprobs?.[0]?.logprob ?? 1, 4);
  });

  test("stdout and stderr hold no escape codes when they are pipes", async () => {
    for (const args of [["Hello"], ["-v", "Hello"]]) {
      const { stdout, stderr } = await generate(args);
      expect(stdout + stderr).not.toContain("\x1b");
    }
  });

  test("the model can come from the environment", async () => {
    const env = { LLM_CLIENT_MODEL: model };
    expect(await run(["generate", "--max-tokens", "1", "Hi"], { env })).toMatchObject({ code: 0 });
  });

  test("the process ends by itself soon after the answer", async () => {
    let lastOutput = 0;
    const { code } = await generate(["Hello"], {
      with: (child: import("node:child_process").ChildProcess) =>
        child.stdout?.on("data", () => (lastOutput = performance.now())),
    });
    expect(code).toBe(0);
    expect(performance.now() - lastOutput).toBeLessThan(SOON_MS);
  });
});

describeNative("bad input", () => {
  let broken: string;
  beforeEach(async () => {
    broken = await makeTalkingModel(join(home, "broken"));
  });
  afterEach(() => rm(broken, { recursive: true }));

  const write = (name: string, content: string) => writeFile(join(broken, name), content);
  const reconfigure = async (fields: object) => {
    const config = JSON.parse(await readFile(join(broken, "config.json"), "utf8")) as object;
    await write("config.json", JSON.stringify({ ...config, ...fields }));
  };
  const attempt = (...args: string[]) =>
    run(["generate", "-m", broken, "-t", "0", "--max-tokens", "4", ...args, "Hello"]);

  function expectRefusal(result: CliResult, code: number, ...reasons: string[]) {
    expect(result.stdout).toBe("");
    for (const reason of reasons) expect(result.stderr).toContain(reason);
    // A message, not a stack.
    expect(result.stderr).toMatch(/^llm-client: /);
    expect(result.stderr).not.toMatch(/\n\s+at /);
    expect([result.code, result.signal]).toEqual([code, null]);
  }

  test("an unknown model", async () => {
    const result = await run(["generate", "-m", "mlx:org/missing", "Hello"]);
    expectRefusal(result, 5, 'Model "org/missing" was not found', join(home, ".lmstudio/models"));
  });

  test("a folder without config.json", async () => {
    await rm(join(broken, "config.json"));
    expectRefusal(await attempt(), 1, `${broken} has no config.json`, "hint: ");
  });

  test("a config.json that is not JSON", async () => {
    await write("config.json", "{");
    expectRefusal(await attempt(), 1, join(broken, "config.json"), "is not JSON");
  });

  test("an unknown model_type lists the known ones", async () => {
    await reconfigure({ model_type: "abacus" });
    expectRefusal(await attempt(), 1, '"abacus"', "gemma3_text", "llama, ");
  });

  test("a config.json with impossible sizes", async () => {
    await reconfigure({ num_attention_heads: 0 });
    expectRefusal(await attempt(), 1, broken, "num_attention_heads");
  });

  test("truncated weights", async () => {
    const file = join(broken, "model.safetensors");
    const { size } = await stat(file);
    await truncate(file, size - 1000);
    expectRefusal(await attempt(), 1, `${file} is truncated`, "download it again");
  });

  test("weights whose header lies", async () => {
    const file = join(broken, "model.safetensors");
    const entry = { dtype: "F32", shape: [1000, 1000], data_offsets: [0, 16] };
    await writeSafetensors(file, { "model.norm.weight": entry }, new Uint8Array(16));
    expectRefusal(await attempt(), 1, file, "needs 4000000 bytes");
  });

  test("a missing shard", async () => {
    const weight_map = { x: "model-00002-of-00002.safetensors" };
    await write("model.safetensors.index.json", JSON.stringify({ weight_map }));
    expectRefusal(
      await attempt(),
      1,
      join(broken, "model-00002-of-00002.safetensors"),
      "is missing",
    );
  });

  test("a tensor of the wrong shape", async () => {
    await reconfigure({ intermediate_size: 64 });
    expectRefusal(await attempt(), 1, join(broken, "model.safetensors"), "mlp", "shape (48, 32)");
  });

  test("a missing tensor", async () => {
    await reconfigure({ num_hidden_layers: 3 });
    expectRefusal(await attempt(), 1, broken, "model.layers.2.");
  });

  test("a tensor that nobody takes", async () => {
    await reconfigure({ num_hidden_layers: 1 });
    expectRefusal(await attempt(), 1, broken, "model.layers.1.");
  });

  test("a tokenizer that is not JSON", async () => {
    await write("tokenizer.json", "no tokens");
    expectRefusal(await attempt(), 1, join(broken, "tokenizer.json"), "is not JSON");
  });

  test("a template that refuses the messages", async () => {
    const chat_template = "{{ raise_exception('only one turn, please') }}";
    await write("tokenizer_config.json", JSON.stringify({ chat_template }));
    expectRefusal(await attempt(), 2, "only one turn, please");
  });

  test("a template that fails", async () => {
    const chat_template = "{{ nothing() }}";
    await write("tokenizer_config.json", JSON.stringify({ chat_template }));
    expectRefusal(await attempt(), 1, join(broken, "tokenizer_config.json"));
  });

  test("a template that cannot be parsed", async () => {
    await write("tokenizer_config.json", JSON.stringify({ chat_template: "{% for %}" }));
    expectRefusal(await attempt(), 1, join(broken, "tokenizer_config.json"));
  });

  test("a prompt beyond the context tells both counts", async () => {
    const result = await run(["generate", "-m", broken, "x".repeat(1000)]);
    expectRefusal(result, 6, "1001 tokens", "256");
  });

  test("a model that takes too long", async () => {
    expectRefusal(await attempt("--timeout", "0.001"), 7, "0.001");
  });
});

describeNative("interruption", () => {
  let endless: string;
  beforeAll(async () => {
    endless = await makeTalkingModel(join(home, "endless"), { max_position_embeddings: 2 ** 30 });
  });
  const babble = ["generate", "-t", "1"];

  test("SIGINT during the answer ends with 130 and keeps what was printed", async () => {
    let sentAt = 0;
    const result = await run([...babble, "-m", endless, "Hello"], {
      with: (child) =>
        child.stdout?.once("data", () => {
          sentAt = performance.now();
          child.kill("SIGINT");
        }),
    });
    expect([result.code, result.signal]).toEqual([130, null]);
    expect(performance.now() - sentAt).toBeLessThan(SOON_MS);
    expect(result.stdout).toMatch(/\n$/);
    expect(result.stderr).toBe("");
  });

  test.each([50, 150, 300, 600, 1000, 2000])(
    "SIGINT after %d ms, while starting, loading or reading the prompt, ends soon",
    async (delay) => {
      let sentAt = 0;
      const result = await run([...babble, "-m", endless], {
        input: "hello ".repeat(10_000),
        with: (child) =>
          setTimeout(() => {
            sentAt = performance.now();
            child.kill("SIGINT");
          }, delay),
      });
      // Before Node runs our code, the signal ends the process itself; a shell shows 130 for both.
      if (result.signal) expect(result.signal).toBe("SIGINT");
      else expect(result.code).toBe(130);
      expect(performance.now() - sentAt).toBeLessThan(SOON_MS);
      expect([result.stdout, result.stderr]).toEqual(["", ""]);
    },
  );

  test("a second SIGINT ends at once", async () => {
    const result = await run([...babble, "-m", endless, "Hello"], {
      with: (child) =>
        child.stdout?.once("data", () => {
          child.kill("SIGINT");
          child.kill("SIGINT");
        }),
    });
    expect([result.code, result.signal]).toEqual([130, null]);
  });

  test("a reader that leaves during the answer ends it quietly with 0", async () => {
    const result = await run([...babble, "-m", endless, "Hello"], {
      with: (child) => child.stdout?.once("data", () => child.stdout?.destroy()),
    });
    expect([result.code, result.signal, result.stderr]).toEqual([0, null, ""]);
  });
});

describeNative("health", () => {
  test("a usable model ends with 0 and tells version and device", async () => {
    const { code, stdout, stderr } = await run(["health", "-p", "mlx", "-m", model]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(
      /^mlx: ready\n {2}reachable: yes\n {2}version: \d+\.\d+\.\d+\n {2}device: (cpu|gpu) \(/,
    );
  });

  test("a missing model ends with 5 and tells why", async () => {
    const { code, stdout } = await run(["health", "-m", "mlx:org/missing"]);
    expect(code).toBe(5);
    expect(stdout).toContain("mlx: not usable");
    expect(stdout).toContain('reason: Model "org/missing" was not found');
  });

  test("--json prints the report", async () => {
    const { stdout } = await run(["health", "--json", "-p", "mlx", "-m", model]);
    expect(JSON.parse(stdout)).toMatchObject({ healthy: true, providers: [{ provider: "mlx" }] });
  });
});
