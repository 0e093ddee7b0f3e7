import { createInterface, type Interface, type Key } from "node:readline";
import type { WriteStream } from "node:tty";
import { asLine, asMessage, type History, MAX_ENTRIES } from "./history.js";
import { MessageLines } from "./message-lines.js";
import type { Messages } from "./messages.js";
import { Screen } from "./screen.js";

/** What a line editor works with. */
export interface EditorOptions {
  terminal: { input: NodeJS.ReadStream; output: WriteStream };
  history: History;
  /** What Tab makes of the beginning of a line. */
  complete(line: string): string[];
  /** Told when the person interrupts a reply, or leaves during one. */
  onInterrupt(): void;
  /** Told what the person should know. */
  note(text: string): void;
}

/** What Node does not document. */
interface NodeInternals {
  /** Rows above the cursor that the line under way takes. */
  prevRows?: number;
}

const PROMPT = "> ";
const MORE = "… ";
/** Terminals then mark what is pasted, so that its lines stay one message. */
const MARK_PASTES = "\x1b[?2004h";
const LEAVE_PASTES = "\x1b[?2004l";

/** Reads messages from a terminal, with Node's own line editor. */
export class LineEditor implements Messages {
  readonly #options: EditorOptions;
  readonly #screen: Screen;
  readonly #editor: Interface & NodeInternals;
  readonly #lines = new MessageLines();
  /** What was entered before somebody asked for it. */
  readonly #ahead: string[] = [];
  #onMessage: ((message: string | undefined) => void) | undefined;
  #onAnswer: ((line: string) => void) | undefined;
  #isPasting = false;
  #isLeaving = false;
  #isClosed = false;

  constructor(options: EditorOptions) {
    this.#options = options;
    const { terminal, history, complete } = options;
    this.#screen = new Screen(terminal.output);
    // First, because it must know of a paste before the editor gets its lines.
    terminal.input.on("keypress", this.#onKey);
    this.#editor = createInterface({
      input: terminal.input,
      output: this.#screen,
      terminal: true,
      history: history.shown,
      historySize: MAX_ENTRIES + 1,
      completer: (line: string) => [complete(line), line],
      prompt: PROMPT,
    });
    this.#editor
      .on("line", (line: string) => this.#onLine(line))
      // Answers, and lines of an unfinished message, are no messages.
      .on("history", () => history.restore())
      .on("SIGINT", () => this.#onInterrupt())
      .on("close", () => this.#onClose());
    this.#screen.write(MARK_PASTES);
    process.once("exit", this.#leavePastes);
    this.#screen.isMuted = true;
  }

  async next(draft?: string): Promise<string | undefined> {
    const ahead = this.#ahead.shift();
    if (ahead !== undefined) return this.#echo(ahead);
    if (this.#isClosed) return undefined;
    this.#show(this.#lines.isOpen ? MORE : PROMPT);
    if (draft !== undefined && this.#editor.line === "") this.#editor.write(asLine(draft));
    const message = await new Promise<string | undefined>((resolve) => {
      this.#onMessage = resolve;
    });
    this.#screen.isMuted = true;
    if (message !== undefined) await this.#remember(message);
    return message;
  }

  async answer(question: string): Promise<string> {
    if (this.#isClosed) return "";
    // What was typed before the question was seen is no answer to it.
    const typed = this.#editor.line;
    this.#clearLine();
    this.#show(question);
    const answer = await new Promise<string>((resolve) => {
      this.#onAnswer = resolve;
    });
    this.#screen.isMuted = true;
    this.#editor.write(typed);
    return answer;
  }

  close(): void {
    this.#editor.close();
  }

  readonly #onKey = (_text: string | undefined, key: Key) => {
    if (key.name === "paste-start") this.#isPasting = true;
    if (key.name === "paste-end") this.#isPasting = false;
    if (!(key.ctrl && key.name === "c")) this.#isLeaving = false;
  };

  readonly #leavePastes = () => {
    this.#options.terminal.output.write(LEAVE_PASTES);
  };

  #onLine(line: string): void {
    if (this.#onAnswer) this.#settleAnswer(line);
    else if (this.#isPasting) this.#goOn(line);
    else this.#takeLine(line);
  }

  #takeLine(line: string): void {
    const message = this.#lines.take(asMessage(line));
    if (message === undefined) this.#show(MORE, this.#screen.isMuted);
    else if (this.#onMessage) this.#settle(message);
    else this.#ahead.push(message);
  }

  #goOn(line: string): void {
    this.#lines.paste(line);
    this.#show(MORE, this.#screen.isMuted);
  }

  #onInterrupt(): void {
    if (this.#onMessage) {
      this.#interruptTyping();
      return;
    }
    this.#settleAnswer("");
    this.#ahead.length = 0;
    this.#options.onInterrupt();
  }

  #interruptTyping(): void {
    const isEmpty = this.#editor.line === "" && !this.#lines.isOpen;
    if (isEmpty && this.#isLeaving) {
      this.#editor.close();
      return;
    }
    this.#isLeaving = isEmpty;
    this.#lines.clear();
    this.#editor.write(null, { ctrl: true, name: "e" });
    this.#screen.write("\n");
    if (isEmpty) this.#options.note("Ctrl-C again, or Ctrl-D, leaves.");
    this.#screen.isMuted = true;
    this.#clearLine();
    this.#show(PROMPT);
  }

  #onClose(): void {
    this.#isClosed = true;
    this.#options.terminal.input.off("keypress", this.#onKey);
    process.off("exit", this.#leavePastes);
    this.#leavePastes();
    if (this.#onMessage) {
      this.#screen.write("\n");
      this.#settle(undefined);
    } else {
      this.#settleAnswer("");
      this.#options.onInterrupt();
    }
    this.#screen.destroy();
  }

  #settle(message: string | undefined): void {
    const settle = this.#onMessage;
    this.#onMessage = undefined;
    settle?.(message);
  }

  #settleAnswer(line: string): void {
    const settle = this.#onAnswer;
    this.#onAnswer = undefined;
    settle?.(line);
  }

  async #echo(message: string): Promise<string> {
    this.#screen.isMuted = false;
    this.#screen.write(`${PROMPT}${message}\n`);
    this.#screen.isMuted = true;
    await this.#remember(message);
    return message;
  }

  async #remember(message: string): Promise<void> {
    try {
      await this.#options.history.add(message);
    } catch (error) {
      this.#options.note(`The history cannot be kept: ${(error as Error).message}`);
    }
  }

  #show(prompt: string, isMuted = false): void {
    this.#screen.isMuted = isMuted;
    // What was typed unseen, or left above, is not overwritten.
    this.#editor.prevRows = 0;
    this.#editor.setPrompt(prompt);
    this.#editor.prompt(true);
  }

  #clearLine(): void {
    this.#editor.write(null, { ctrl: true, name: "e" });
    this.#editor.write(null, { ctrl: true, name: "u" });
  }
}
