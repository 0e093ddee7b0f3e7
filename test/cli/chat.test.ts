import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChatOptions, chatCommand } from "../../src/cli/chat.js";
import type { LLMResponse, Message } from "../../src/index.js";
import { describeNative } from "../helpers/native.js";
import { parseCommand } from "../helpers/parse-command.js";
import { runCli } from "../helpers/run-cli.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

// Each test starts a process or two.
jest.setTimeout(60_000);

const PICTURE = join(__dirname, "../../examples/data/picture.png");

let home: string;
let ollama: FakeOllama;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "chat-"));
  ollama = await startFakeOllama({
    models: [
      { name: "m" },
      { name: "other" },
      { name: "thinks", capabilities: ["completion", "thinking"] },
      { name: "sees", capabilities: ["completion", "vision"] },
    ],
  });
});
afterEach(() => Promise.all([ollama.close(), rm(home, { recursive: true })]));

/** Lines that are said in a chat through a pipe. */
function chat(lines: string[], args: string[] = ["-m", "ollama:m"]) {
  const env = { HOME: home, OLLAMA_BASE_URL: ollama.url, LLM_CLIENT_MAX_RETRIES: "0" };
  return runCli(["chat", ...args], { input: lines.map((line) => `${line}\n`).join(""), env });
}

/** What the server was asked, chat by chat. */
function asked(): Message[][] {
  const chats = ollama.requests.filter(({ path }) => path === "/api/chat");
  return chats.map(({ json }) => json!.messages as Message[]);
}

const user = (content: string) => ({ role: "user", content });
const SAID = { role: "assistant", content: "Hello from a fake." };

describe("flags", () => {
  const parse = (args: string[]) => parseCommand<ChatOptions>(chatCommand, args);

  test.each<[string[], Partial<ChatOptions>]>([
    [[], { request: {}, images: [], usage: false, hideReasoning: false, markdown: true }],
    [["--system", "Be brief.", "--no-markdown"], { system: "Be brief.", markdown: false }],
    [["-t", "0", "--max-tokens", "7"], { request: { temperature: 0, maxTokens: 7 } }],
    [["--image", "a.png"], { images: ["a.png"] }],
    [["-m", "ollama:qwen3:4b"], { sources: { flags: { provider: "ollama", model: "qwen3:4b" } } }],
    [["--kv-bits", "4"], { sources: { flags: { provider: "mlx" } } }],
  ])("%j", async (args, expected) => {
    const { options, refusal } = await parse(args);
    expect(refusal).toBe("");
    expect(options).toMatchObject(expected);
  });

  test.each(["--raw", "--logprobs", "--prompt-cache-file=a", "--distributed", "--tools=a"])(
    "%s makes no sense in a conversation",
    async (flag) => {
      expect((await parse([flag])).refusal).toContain("unknown option");
    },
  );
});

describe("in a pipe", () => {
  test("each line is a message, and only the answers go to stdout", async () => {
    const { code, stdout, stderr } = await chat(["One", "", "Two"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe("Hello from a fake.\nHello from a fake.\n");
    expect(asked()).toEqual([[user("One")], [user("One"), SAID, user("Two")]]);
  });

  test("a message may have several lines", async () => {
    await chat(['"""', "One", "", '/two"""', "three \\", "four", ' """ five']);
    expect(asked().at(-1)).toEqual([
      user("One\n\n/two"),
      SAID,
      user("three \nfour"),
      SAID,
      user(' """ five'),
    ]);
  });

  test("one that does not end is refused", async () => {
    const { code, stderr } = await chat(['"""', "One"]);
    expect([code, stderr]).toEqual([
      2,
      'llm-client: The last message has no end: """ or a line is missing.\n',
    ]);
  });

  test("--json prints a response in each line", async () => {
    const { stdout } = await chat(["One", "Two"], ["-m", "ollama:m", "--json"]);
    const replies = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as LLMResponse);
    expect(replies.map(({ content }) => content)).toEqual([SAID.content, SAID.content]);
  });

  test("--usage tells what each reply took", async () => {
    const { stderr } = await chat(["One"], ["-m", "ollama:m", "--usage"]);
    expect(stderr).toMatch(/^m \(ollama\): \d+ prompt tokens, .*ms to the first\n$/);
  });

  test("what the model thinks goes to stderr", async () => {
    ollama.replies.once({ reasoning: ["Hm", "."], text: ["Yes"] });
    const args = ["-m", "ollama:thinks", "--reasoning", "on"];
    const { stdout, stderr } = await chat(["One", "Two"], args);
    expect([stdout, stderr]).toEqual(["Yes\nHello from a fake.\n", "Hm.\n"]);
  });

  test("a failure ends it with its exit code", async () => {
    ollama.fault("server-error", { times: 9 });
    const { code, stdout } = await chat(["One", "Two"]);
    expect(code).not.toBe(0);
    expect(stdout).toBe("");
    expect(asked()).toHaveLength(1);
  });
});

test("a missing model is told before anything is asked", async () => {
  const { code, stdout, stderr } = await chat(["One"], ["-m", "ollama:m2"]);
  expect([code, stdout]).toEqual([5, ""]);
  expect(stderr).toMatch(/^llm-client: ollama: .*m2/);
  expect(stderr).toContain("hint: ");
  expect(asked()).toEqual([]);
});

test("when nobody can answer, all reasons are told", async () => {
  const url = "http://127.0.0.1:1";
  const env = { HOME: home, OLLAMA_BASE_URL: url, LMSTUDIO_BASE_URL: url, MLX_MODEL_PATH: home };
  const { code, stderr } = await runCli(["chat", "-m", "absent"], { input: "Hi\n", env });
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/^llm-client: Nobody can answer\.\n {2}ollama: .*\n {2}lmstudio: /);
});

describe("commands", () => {
  const refusals: [string, string, string | undefined][] = [
    ["/sytem Hello", "There is no command /sytem.", "Did you mean /system?"],
    ["/frobnicate", "There is no command /frobnicate.", "/help tells which there are."],
    ["/clear all", "/clear has nothing behind it.", undefined],
    ["/save", "/save needs FILE behind it.", undefined],
    ["/undo", "Nothing has been asked yet.", undefined],
    ["/regenerate", "Nothing has been asked yet.", undefined],
    ["/load absent.json", "absent.json does not exist.", undefined],
    ["/image absent.png", "The image absent.png does not exist.", undefined],
  ];

  test.each(refusals)("%s is refused", async (line, reason, hint) => {
    const { code, stderr } = await chat([line]);
    const more = hint === undefined ? "" : `hint: ${hint}\n`;
    expect([code, stderr]).toEqual([2, `llm-client: ${reason}\n${more}`]);
  });

  test("/help names them all", async () => {
    const { stdout, stderr } = await chat(["/help"]);
    expect(stdout).toBe("");
    const names = [...stderr.matchAll(/^(\/\w+)/gm)].map(([name]) => name);
    const page = await readFile(join(__dirname, "../../docs/chat.md"), "utf8");
    expect(names).toEqual([...page.matchAll(/^\| `(\/\w+)/gm)].map(([, name]) => name));
  });

  test("a line that begins with a space is none", async () => {
    await chat([" /help"]);
    expect(asked()).toEqual([[user(" /help")]]);
  });

  test("/system sets, shows and removes the system message", async () => {
    const { stderr } = await chat(["/system Be brief.", "One", "/system", "/system -", "Two"]);
    expect(stderr).toBe("Be brief.\n");
    expect(asked()[0]).toEqual([{ role: "system", content: "Be brief." }, user("One")]);
    expect(asked()[1]).toEqual([user("One"), SAID, user("Two")]);
  });

  test("/undo and /clear take messages back, /regenerate asks again", async () => {
    await chat(["One", "Two", "/undo", "Three", "/regenerate", "/clear", "Four"]);
    expect(asked().slice(2)).toEqual([
      [user("One"), SAID, user("Three")],
      [user("One"), SAID, user("Three")],
      [user("Four")],
    ]);
  });

  test("/model asks another one, and refuses one that is not there", async () => {
    const { code, stderr } = await chat(["/model", "/model other", "One", "/model absent"]);
    expect(code).toBe(5);
    expect(stderr).toMatch(/^ollama:m\nollama:other\nllm-client: .*absent/);
    expect(ollama.requests.find(({ path }) => path === "/api/chat")!.json!.model).toBe("other");
  });

  test("/image shows a picture with the next message", async () => {
    await chat([`/image ${PICTURE}`, "What is it?", "Thanks"], ["-m", "ollama:sees"]);
    const [question] = asked()[0] as unknown as { images: string[] }[];
    expect(question!.images).toEqual([(await readFile(PICTURE)).toString("base64")]);
    expect(asked()[1]!.at(-1)).toEqual(user("Thanks"));
  });

  test("/stats counts all replies", async () => {
    const { stderr } = await chat(["One", "Two", "/stats"]);
    expect(stderr).toMatch(/^2 replies: \d+ prompt tokens, \d+ completion tokens/);
  });

  test("/exit leaves", async () => {
    expect(await chat(["/exit", "One"])).toMatchObject({ code: 0, stdout: "" });
  });
});

describe("saved chats", () => {
  test("go on where they were, with their pictures", async () => {
    const file = join(home, "chat.json");
    const first = ["/system Be brief.", `/image ${PICTURE}`, "What is it?", `/save ${file}`];
    await chat(first, ["-m", "ollama:sees"]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = await chat([`/load ${file}`, "Thanks", `/save ${file}`], ["-m", "ollama:sees"]);
    expect(again.stderr).toBe("Loaded 2 messages.\nSaved 4 messages.\n");
    expect(asked()[1]).toEqual([...asked()[0]!, SAID, user("Thanks")]);
    const saved = JSON.parse(await readFile(file, "utf8")) as object;
    expect(saved).toMatchObject({ version: 1, model: "ollama:sees", system: "Be brief." });
  });

  test("do not replace other files", async () => {
    const file = join(home, "notes.txt");
    await writeFile(file, "mine");
    const { code, stderr } = await chat([`/save ${file}`]);
    expect([code, stderr]).toEqual([
      2,
      `llm-client: ${file} is there already.\nhint: Choose another name.\n`,
    ]);
    expect(await readFile(file, "utf8")).toBe("mine");
  });

  test("tell whose they are when another model goes on", async () => {
    const file = join(home, "chat.json");
    await chat(["One", `/save ${file}`]);
    const { stderr } = await chat([`/load ${file}`], ["-m", "ollama:other"]);
    expect(stderr).toContain("They are of ollama:m: /model changes to it.");
  });

  test.each([
    ["nonsense", "is not JSON"],
    ["[]", "is no saved chat: it is [], but must be an object { version, messages }"],
    ['{"version":2,"messages":[]}', "version is 2, but must be 1"],
    ['{"version":1}', "messages is missing, but must be a list of messages"],
    ['{"version":1,"messages":[],"apiKey":"x"}', "apiKey is not a known field"],
    ['{"version":1,"messages":[{"role":"boss","content":"x"}]}', 'messages[0].role is "boss"'],
  ])("%s is refused", async (text, reason) => {
    const file = join(home, "chat.json");
    await writeFile(file, text);
    const { code, stderr } = await chat([`/load ${file}`]);
    expect(code).toBe(2);
    expect(stderr).toContain(reason);
  });
});

describeNative("on MLX", () => {
  test("the conversation is not read again", async () => {
    const args = ["-m", "mlx:demo", "-t", "0", "--json"];
    const { code, stdout } = await chat(["What is 7 + 5?", "And 8 + 5?"], args);
    expect(code).toBe(0);
    const [first, second] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as LLMResponse);
    expect(first!.content).toBe("7 + 5 = 12.");
    const { promptTokens = 0, completionTokens = 0 } = first!.usage;
    expect(second!.usage.cachedTokens).toBe(promptTokens + completionTokens);
  });
});
