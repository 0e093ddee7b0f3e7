import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeNative } from "../../helpers/native.js";
import { makeTalkingModel } from "../../helpers/talking-model.js";
import { describeTerminal, Terminal } from "../../helpers/terminal.js";
import { type FakeOllama, startFakeOllama } from "../../servers/fake-ollama.js";

// Each test starts processes, and some wait for what is not to come.
jest.setTimeout(60_000);

const CTRL_C = "\x03";
const CTRL_D = "\x04";
const UP = "\x1b[A";
const ENTER = "\r";

let home: string;
let ollama: FakeOllama;
const terminals: Terminal[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "chat-"));
  ollama = await startFakeOllama({ models: [{ name: "m" }] });
});
afterEach(async () => {
  for (const terminal of terminals.splice(0)) terminal.child.kill();
  await Promise.all([ollama.close(), rm(home, { recursive: true })]);
});

/** A chat that waits for the first message. */
async function openChat(args = ["-m", "ollama:m"], more: Record<string, string> = {}) {
  const env = { HOME: home, OLLAMA_BASE_URL: ollama.url, LLM_CLIENT_MAX_RETRIES: "0", ...more };
  const terminal = new Terminal(["chat", ...args], env);
  terminals.push(terminal);
  await terminal.shows("/help tells");
  await terminal.shows("> ");
  return terminal;
}

/** Says something, and waits until it was answered. */
async function say(terminal: Terminal, keys: string): Promise<string> {
  terminal.type(keys + ENTER);
  return (await terminal.shows(/\(\w+\): [^\r]*to the first/)) + (await terminal.shows("> "));
}

/** The user's messages of the last request. */
function asked(): string[] {
  const { json } = ollama.requests.findLast(({ path }) => path === "/api/chat")!;
  const messages = json!.messages as { role: string; content: string }[];
  return messages.filter(({ role }) => role === "user").map(({ content }) => content);
}

describeTerminal("chat on a terminal", () => {
  test("keeps what was written for the next chat, for this user alone", async () => {
    const first = await openChat();
    await say(first, "One");
    await say(first, "Two");
    first.type(CTRL_D);
    expect(await first.ended).toBe(0);
    const file = join(home, ".local", "state", "llm-client", "chat-history.jsonl");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).toBe('"One"\n"Two"\n');

    const second = await openChat();
    await say(second, UP + UP);
    expect(asked()).toEqual(["One"]);
  });

  test("makes one message of several lines", async () => {
    const terminal = await openChat();
    terminal.type(`"""One${ENTER}`);
    await terminal.shows("… ");
    await say(terminal, 'two"""');
    terminal.type(`three\\${ENTER}`);
    await terminal.shows("… ");
    await say(terminal, "four");
    await say(terminal, "\x1b[200~five\r/six\tseven\r\x1b[201~");
    expect(asked()).toEqual(["One\ntwo", "three\nfour", "five\n/six\tseven\n"]);
    await say(terminal, UP + UP);
    expect(asked().at(-1)).toBe("three\nfour");
  });

  test("Tab completes commands and files", async () => {
    const terminal = await openChat();
    terminal.type("/he");
    await terminal.shows("/he");
    terminal.type("\t");
    await terminal.shows("lp");
    terminal.type(ENTER);
    await terminal.shows("/regenerate");
    await terminal.shows("> ");
    terminal.type(`/load ${home.slice(0, -2)}`);
    await terminal.shows(home.slice(0, -2));
    terminal.type("\t");
    await terminal.shows(`${home.slice(-2)}/`);
  });

  test("a command that there is not suggests another", async () => {
    const terminal = await openChat();
    terminal.type(`/sytem Hello${ENTER}`);
    await terminal.shows("Did you mean /system?");
    await terminal.shows("> ");
    expect(await say(terminal, "One")).toContain("Hello from a fake.");
  });

  test("a message whose reply failed can be sent again", async () => {
    const terminal = await openChat();
    ollama.fault("server-error", { times: 1 });
    terminal.type(`One${ENTER}`);
    await terminal.shows("500");
    await terminal.shows("> ");
    await terminal.shows("One");
    await say(terminal, " more");
    expect(asked()).toEqual(["One more"]);
  });

  test("what is typed during a reply is the next message", async () => {
    const terminal = await openChat();
    await say(terminal, `One${ENTER}Two${ENTER}Three`);
    await terminal.shows(/to the first[\s\S]*to the first/);
    expect(asked()).toEqual(["One", "Two", "Three"]);
  });

  test("Ctrl-C empties a line, and leaves on the second empty one", async () => {
    const terminal = await openChat();
    terminal.type(`One${CTRL_C}`);
    await terminal.shows(/\n.*> /);
    terminal.type(CTRL_C);
    await terminal.shows("Ctrl-C again");
    await terminal.shows("> ");
    await say(terminal, "Two");
    expect(asked()).toEqual(["Two"]);
    terminal.type(CTRL_C);
    await terminal.shows("Ctrl-C again");
    await terminal.shows("> ");
    terminal.type(CTRL_C);
    expect(await terminal.ended).toBe(0);
  });

  test("shows Markdown as what it means, and nothing that steers the terminal", async () => {
    ollama.replies.set({ text: ["# Ti", "tle\n\n* **on", "e**\n", "\n\x1b[2Jx `y`"] });
    const terminal = await openChat();
    const shown = await say(terminal, "One");
    expect(shown).toContain("\x1b[1mTitle\x1b[22m\r\n\r\n");
    expect(shown).toContain("• \x1b[1mone\x1b[22m\r\n");
    expect(shown).toContain("␛[2Jx \x1b[36my\x1b[39m\r\n");
    expect(shown).not.toContain("\x1b[2J");
  });

  test.each<[string, string[], Record<string, string>]>([
    ["--no-markdown", ["--no-markdown"], {}],
    ["NO_COLOR", [], { NO_COLOR: "1" }],
  ])("%s leaves it as it is", async (_, args, env) => {
    ollama.replies.set({ text: ["**one** \x1b[2Jtwo"] });
    const terminal = await openChat(["-m", "ollama:m", ...args], env);
    expect(await say(terminal, "One")).toContain("**one** ␛[2Jtwo\r\n");
  });
});

describeNative("chat with MLX", () => {
  describeTerminal("on a terminal", () => {
    test("Ctrl-C ends a reply, keeps what came of it, and the chat goes on", async () => {
      const model = await makeTalkingModel(join(home, "model"), {
        max_position_embeddings: 2 ** 30,
      });
      const terminal = await openChat(["-p", "mlx", "-m", model, "-t", "1", "--no-markdown"]);
      terminal.type(`One${ENTER}`);
      await terminal.shows(/Waiting[\s\S]{40}/);
      terminal.type(CTRL_C);
      await terminal.shows("Interrupted.");
      await terminal.shows("> ");
      const file = join(home, "chat.json");
      terminal.type(`/save ${file}${ENTER}`);
      await terminal.shows("Saved 2 messages.");
      const { messages } = JSON.parse(await readFile(file, "utf8")) as { messages: object[] };
      expect(messages).toEqual([
        { role: "user", content: "One" },
        { role: "assistant", content: expect.stringMatching(/./) },
      ]);
      terminal.type(`/exit${ENTER}`);
      expect(await terminal.ended).toBe(0);
    });
  });
});
