import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LLMResponse, Message } from "../../../src/index.js";
import { runCli } from "../../helpers/run-cli.js";
import { describeTerminal, Terminal } from "../../helpers/terminal.js";
import { type FakeOllama, startFakeOllama } from "../../servers/fake-ollama.js";

// Each test starts a chat and a server of tools.
jest.setTimeout(60_000);

const PROGRAM = fileURLToPath(new URL("../../fixtures/programs/mcp-server.mjs", import.meta.url));
const CTRL_C = "\x03";
const ENTER = "\r";
const TWO_NUMBERS = { a: 7, b: 5 };

let home: string;
let file: string;
let ollama: FakeOllama;
const terminals: Terminal[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "chat-tools-"));
  file = join(home, "mcp.json");
  const capabilities = ["completion", "tools"];
  ollama = await startFakeOllama({
    models: [{ name: "m", capabilities }, { name: "plain" }],
  });
  await configure(process.execPath, [PROGRAM, "stdio", "add", "fail", "hang"]);
});
afterEach(async () => {
  for (const terminal of terminals.splice(0)) terminal.child.kill();
  await Promise.all([ollama.close(), rm(home, { recursive: true })]);
});

function configure(command: string, args: string[] = []) {
  return writeFile(file, JSON.stringify({ mcpServers: { sums: { command, args } } }));
}

const env = () => ({ HOME: home, OLLAMA_BASE_URL: ollama.url, LLM_CLIENT_MAX_RETRIES: "0" });

/** Lines that are said through a pipe, where all calls are made. */
function chat(lines: string[], args: string[] = ["-m", "ollama:m", "--yes-tools"]) {
  const input = lines.map((line) => `${line}\n`).join("");
  return runCli(["chat", "--mcp-config", file, ...args], { input, env: env() });
}

/** The model calls a tool, and then answers. */
function calls(name: string, given: Record<string, unknown> = {}, times = 1) {
  for (let count = 0; count < times; count += 1) {
    ollama.replies.once({ text: [], toolCalls: [{ name, arguments: given }], promptTokens: 9 });
  }
}

/** What the model was asked, request by request. */
function asked(): Message[][] {
  const chats = ollama.requests.filter(({ path }) => path === "/api/chat");
  return chats.map(({ json }) => json!.messages as Message[]);
}

const rolesOf = (messages: Message[]) => messages.map(({ role }) => role);
const toldOf = (messages: Message[]) => messages.findLast(({ role }) => role === "tool")?.content;

describe("tools in a piped chat", () => {
  test("are run, and their results become part of the conversation", async () => {
    calls("add", TWO_NUMBERS);
    const { code, stdout, stderr } = await chat(["What is 7 + 5?", "Thanks"]);
    expect([code, stdout]).toEqual([0, "Hello from a fake.\nHello from a fake.\n"]);
    expect(stderr).toBe('sums: add({"a":7,"b":5})\n');
    expect(toldOf(asked()[1]!)).toBe("12");
    expect(rolesOf(asked()[2]!)).toEqual(["user", "assistant", "tool", "assistant", "user"]);
  });

  test("a call that fails is shown, and told to the model", async () => {
    calls("fail");
    const { code, stderr } = await chat(["Try"]);
    expect(code).toBe(0);
    expect(stderr).toBe("sums: fail({})\nfail: Error: No undefined.\n");
    expect(toldOf(asked()[1]!)).toBe("Error: No undefined.");
  });

  test("saved, loaded and regenerated chats keep calls and results together", async () => {
    const saved = join(home, "chat.json");
    calls("add", TWO_NUMBERS);
    await chat(["Sum", `/save ${saved}`]);
    const { messages } = JSON.parse(await readFile(saved, "utf8")) as { messages: Message[] };
    expect(rolesOf(messages)).toEqual(["user", "assistant", "tool", "assistant"]);
    expect(messages[2]!.toolCallId).toBe(messages[1]!.toolCalls![0]!.id);
    await chat([`/load ${saved}`, "Thanks", "/undo", "/regenerate"]);
    expect(rolesOf(asked()[2]!)).toEqual([...rolesOf(messages), "user"]);
    expect(rolesOf(asked()[3]!)).toEqual(["user"]);
  });

  test("a model that never ends calling is stopped, and no call stays without a result", async () => {
    calls("add", TWO_NUMBERS, 10);
    ollama.replies.once({ text: ["Well."], promptTokens: 9 });
    const { code, stderr } = await chat(["Sum", "Go on"]);
    expect(code).toBe(0);
    expect(stderr).toContain("note: the model wants more calls, which were not made");
    const last = asked().at(-1)!;
    expect(asked()).toHaveLength(11);
    const ended = last.filter(({ role }) => role === "tool");
    expect(last.filter(({ role }) => role === "assistant")).toHaveLength(ended.length);
  });

  test("--json prints the last response, and /stats counts all", async () => {
    calls("add", TWO_NUMBERS);
    const args = ["-m", "ollama:m", "--yes-tools", "--json"];
    const { stdout, stderr } = await chat(["Sum", "/stats"], args);
    const { content, usage } = JSON.parse(stdout) as LLMResponse;
    expect(content).toBe("Hello from a fake.");
    const [, counted] = /1 replies: (\d+) prompt tokens/.exec(stderr)!;
    expect(Number(counted)).toBeGreaterThan(usage.promptTokens!);
  });

  test("/tools names them", async () => {
    const { stderr } = await chat(["/tools"]);
    expect(stderr).toBe("sums: add Adds.\nsums: fail\nsums: hang\n");
  });

  test("need --yes-tools, before anything is started", async () => {
    await configure("/does/not/exist");
    const { code, stderr } = await chat(["Sum"], ["-m", "ollama:m"]);
    expect(code).toBe(2);
    expect(stderr).toContain("--mcp-config needs --yes-tools");
    expect(ollama.requests).toEqual([]);
  });

  test("--yes-tools needs --mcp-config", async () => {
    const { code, stderr } = await runCli(["chat", "--yes-tools"], { input: "Hi\n", env: env() });
    expect([code, stderr]).toEqual([2, expect.stringContaining("without --mcp-config")]);
  });

  test("a server that does not start is told, with a hint", async () => {
    await configure("/does/not/exist");
    const { code, stderr } = await chat(["Sum"]);
    expect(code).toBe(3);
    expect(stderr).toContain('llm-client: The MCP server "sums" cannot be reached');
    expect(stderr).toContain("hint: Check the command or url");
    expect(asked()).toEqual([]);
  });

  test("a file that is wrong is a wrong use", async () => {
    await writeFile(file, "[]");
    const { code, stderr } = await chat(["Sum"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("an object { mcpServers }")]);
  });

  test("a model that takes none refuses the first question", async () => {
    const { code, stdout, stderr } = await chat(["Sum"], ["-m", "ollama:plain", "--yes-tools"]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("tools");
  });
});

describeTerminal("tools in a chat on a terminal", () => {
  async function openChat() {
    const terminal = new Terminal(["chat", "-m", "ollama:m", "--mcp-config", file], env());
    terminals.push(terminal);
    await terminal.shows("/help tells");
    await terminal.shows("> ");
    return terminal;
  }

  /** Says something that the model wants to make a call for. */
  async function say(terminal: Terminal, text: string): Promise<string> {
    terminal.type(text + ENTER);
    return terminal.shows("(always this tool): ");
  }

  async function answer(terminal: Terminal, key: string): Promise<void> {
    terminal.type(key + ENTER);
    await terminal.shows("to the first");
    await terminal.shows("> ");
  }

  test("y makes a call, which was shown harmless", async () => {
    calls("add", { ...TWO_NUMBERS, note: "\x1b[2J\u202e" });
    const terminal = await openChat();
    const shown = await say(terminal, "Sum");
    expect(shown).toContain('sums: add({"a":7,"b":5,"note":"\\u001b[2J ');
    await answer(terminal, "y");
    expect(toldOf(asked().at(-1)!)).toBe("12");
    calls("add", TWO_NUMBERS);
    await say(terminal, "Once more");
    await answer(terminal, "n");
  });

  test("n refuses it, and the model is told", async () => {
    calls("add", TWO_NUMBERS);
    const terminal = await openChat();
    await say(terminal, "Sum");
    await answer(terminal, "n");
    expect(toldOf(asked().at(-1)!)).toBe("The person refused this call.");
  });

  test("a makes all calls of the tool, and of no other", async () => {
    const twice = { name: "add", arguments: TWO_NUMBERS };
    ollama.replies.once({ text: [], toolCalls: [twice, twice] });
    const terminal = await openChat();
    await say(terminal, "Sum");
    await answer(terminal, "a");
    expect(
      asked()
        .at(-1)!
        .slice(-2)
        .map(({ content }) => content),
    ).toEqual(["12", "12"]);
    calls("fail");
    await say(terminal, "Fail");
    await answer(terminal, "n");
  });

  test("Ctrl-C ends a question or a call, and the chat goes on", async () => {
    const terminal = await openChat();
    calls("add", TWO_NUMBERS);
    await say(terminal, "Sum");
    terminal.type(CTRL_C);
    await terminal.shows("Interrupted.");
    await terminal.shows("> ");
    await terminal.shows("Sum");

    calls("hang");
    await say(terminal, " and wait");
    terminal.type(`y${ENTER}`);
    await terminal.shows(/y\r+\n/);
    terminal.type(CTRL_C);
    await terminal.shows("Interrupted.");
    await terminal.shows("> ");
    await terminal.shows("Sum and wait");
    await answer(terminal, " no more");
    expect(rolesOf(asked().at(-1)!)).toEqual(["user"]);
    terminal.type(`/exit${ENTER}`);
    expect(await terminal.ended).toBe(0);
  });
});
