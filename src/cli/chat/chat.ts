import type { Usage } from "../../index.js";
import { expandHome } from "../../home-folder.js";
import type { ChatOptions } from "../chat.js";
import { readImages } from "../attachments.js";
import { describeError, describeReply, describeRun } from "../format.js";
import { Flow, type Io } from "../io.js";
import { Progress } from "../progress.js";
import { type ContentFlow, CUT } from "../reply-printer.js";
import { AskedModel } from "./asked-model.js";
import { isCommand, runCommand } from "./commands.js";
import { ChatTools } from "./chat-tools.js";
import { Conversation } from "./conversation.js";
import type { Messages } from "./messages.js";
import { loadChat, saveChat } from "./saved-chat.js";
import { Turn, type TurnResult } from "./turn.js";

const TOO_MANY_CALLS = "note: the model wants more calls, which were not made: ask it to go on\n";

/** A conversation on the command line. */
export class Chat {
  readonly conversation: Conversation;
  readonly model: AskedModel;
  /** What a person may change and send again. */
  draft?: string;
  isOver = false;
  replies = 0;
  /** Of all replies together. */
  usage: Usage = {};
  readonly #options: ChatOptions;
  readonly #io: Io;
  readonly #progress: Progress;
  #turn: Turn | undefined;
  #tools: ChatTools | undefined;
  #messages: Messages | undefined;
  /** The file that this chat came from, or went to. */
  #file: string | undefined;

  constructor(options: ChatOptions, io: Io) {
    this.#options = options;
    this.#io = io;
    this.conversation = new Conversation(options.system);
    this.#progress = new Progress(options, io.stderr);
    this.model = new AskedModel(options, io, this.#progress);
  }

  /** Fails if nobody could answer, a server of tools does not start, or a picture cannot be read. */
  async open(): Promise<void> {
    await this.addPictures(this.#options.images);
    await this.#openTools();
    await this.model.open();
    if (this.#io.terminal) await this.note(`${this.model.name}. /help tells what you can do.`);
  }

  async close(): Promise<void> {
    await Promise.all([this.model.close(), this.#tools?.close()]);
  }

  /** Answers messages until there are no more, or somebody leaves. */
  async answerAll(messages: Messages): Promise<void> {
    this.#messages = messages;
    while (!this.isOver) {
      const { draft } = this;
      this.draft = undefined;
      const message = await messages.next(draft);
      if (message === undefined) return;
      try {
        await this.#take(message);
      } catch (error) {
        // A script goes on with what was not said.
        if (this.#io.signal.aborted || !this.#io.terminal) throw error;
        await this.#io.stderr.write(describeError(error));
      }
    }
  }

  interrupt(): void {
    this.#turn?.interrupt();
  }

  /** Asks for an answer to all that was said. */
  async reply(): Promise<void> {
    const { json, usage, verbose } = this.#options;
    const { stdout, stderr } = this.#io;
    const { response, usage: used = {}, isCut } = await this.#runTurn();
    if (!response) return this.note("Interrupted.");
    this.replies += 1;
    this.#count(used);
    if (json) await stdout.write(`${JSON.stringify(response)}\n`);
    if (isCut) await stderr.write(TOO_MANY_CALLS);
    if (response.finishReason === "length") await stderr.write(CUT);
    if (this.#io.terminal || usage || verbose) await this.note(describeReply(response));
    if (verbose) await this.note(describeRun(response));
  }

  /** What the model may call. */
  describeTools(): string {
    return (
      this.#tools?.describe() ?? "There are none: --mcp-config FILE offers those of MCP servers."
    );
  }

  async save(file: string): Promise<void> {
    const { model, conversation } = this;
    const path = expandHome(file);
    const { system, turns } = conversation;
    const chat = { model: model.name, system, messages: [...turns] };
    await saveChat(path, chat, path === this.#file);
    this.#file = path;
    await this.note(`Saved ${turns.length} messages.`);
  }

  async load(file: string): Promise<void> {
    const path = expandHome(file);
    const { model, system, messages } = await loadChat(path);
    this.conversation.replace(system, messages);
    this.#file = path;
    const isOther = model !== undefined && model !== this.model.name;
    const hint = isOther ? ` They are of ${model}: /model changes to it.` : "";
    await this.note(`Loaded ${messages.length} messages.${hint}`);
  }

  /** Adds pictures to the next message. */
  async addPictures(files: string[]): Promise<void> {
    this.conversation.pictures.push(...(await readImages(files.map((file) => expandHome(file)))));
  }

  /** Tells the person something that is no content. */
  async note(text: string): Promise<void> {
    const { stderr } = this.#io;
    await stderr.write(`${stderr.dim(text.trimEnd())}\n`);
  }

  async #take(message: string): Promise<void> {
    if (message.trim() === "") return;
    if (isCommand(message)) return runCommand(this, message);
    this.conversation.ask(message);
    await this.reply();
  }

  async #openTools(): Promise<void> {
    const { mcpConfig: file, yesTools } = this.#options;
    if (file === undefined) return;
    const { connectMcp } = await import("../../mcp/index.js");
    const mcp = await connectMcp({ file: expandHome(file), signal: this.#io.signal });
    const ask = async (question: string) => (await this.#messages?.answer(question)) ?? "";
    this.#tools = new ChatTools(mcp, { io: this.#io, ...(!yesTools && { ask }) });
    this.#progress.warn(mcp.warnings);
  }

  async #runTurn(): Promise<TurnResult> {
    const { hideReasoning } = this.#options;
    const { model, conversation } = this;
    const content = await this.#contentFlow();
    const output = { io: this.#io, progress: this.#progress, hideReasoning, content };
    this.#turn = new Turn({ model, tools: this.#tools, ...output });
    try {
      const result = await this.#turn.run(conversation.messages);
      const { messages } = result;
      if (messages.length === 0) this.draft = conversation.takeBack();
      conversation.add(...messages);
      return result;
    } catch (error) {
      this.draft = conversation.takeBack();
      throw error;
    } finally {
      this.#turn = undefined;
    }
  }

  async #contentFlow(): Promise<ContentFlow> {
    const { stdout } = this.#io;
    const { json, markdown } = this.#options;
    // With --json the whole reply is printed at its end.
    if (json) return { write: async () => {}, endLine: async () => {} };
    if (!markdown || !stdout.isTTY || !stdout.isColored) return new Flow(stdout);
    const { MarkdownFlow } = await import("./markdown-flow.js");
    return new MarkdownFlow(stdout);
  }

  #count(usage: Usage): void {
    for (const name of Object.keys(usage) as (keyof Usage)[]) {
      if (usage[name] !== undefined) this.usage[name] = (this.usage[name] ?? 0) + usage[name];
    }
  }
}
