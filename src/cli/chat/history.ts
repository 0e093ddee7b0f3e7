import { appendFile, mkdir, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { homeFolder } from "../../home-folder.js";
import { readWhole } from "../../regular-file.js";

/** Most messages that are kept. */
export const MAX_ENTRIES = 1000;
/** Letters of a message; a longer one is rather pasted again. */
const MAX_LENGTH = 10_000;
/** Bytes that may be read. */
const MAX_BYTES = 64_000_000;

/** Where the history is: in the folder for the state of programs. */
export function historyFile(env: NodeJS.ProcessEnv): string {
  const state = env.XDG_STATE_HOME || join(homeFolder(env), ".local", "state");
  return join(state, "llm-client", "chat-history.jsonl");
}

/** What a person wrote in this and earlier chats, the newest first. */
export class History {
  /** For the line editor, which changes it as it likes. */
  readonly shown: string[] = [];
  readonly #file: string;
  #entries: string[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads the file, if there is one, and shortens it where it became long. */
  async load(): Promise<void> {
    const lines = (await readLines(this.#file)).reverse();
    const known = [...new Set(lines.flatMap(entryOf))];
    this.#entries = known.slice(0, MAX_ENTRIES);
    this.restore();
    if (lines.length > 2 * MAX_ENTRIES) await this.#rewrite();
  }

  /** Keeps a message; fails where the file cannot be written. */
  async add(entry: string): Promise<void> {
    if (entry.trim() === "" || entry.length > MAX_LENGTH || entry === this.#entries[0]) return;
    const others = this.#entries.filter((other) => other !== entry);
    this.#entries = [entry, ...others].slice(0, MAX_ENTRIES);
    this.restore();
    await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
    await appendFile(this.#file, `${JSON.stringify(entry)}\n`, { mode: 0o600 });
  }

  /** Takes back what an editor did. */
  restore(): void {
    this.shown.splice(0, this.shown.length, ...this.#entries.map(asLine));
  }

  async #rewrite(): Promise<void> {
    const text = [...this.#entries].reverse().map((entry) => `${JSON.stringify(entry)}\n`);
    const draft = `${this.#file}.${process.pid}`;
    await writeFile(draft, text.join(""), { mode: 0o600, flag: "wx" });
    await rename(draft, this.#file);
  }
}

/** Stands for a line break where only one line can be edited. */
const BREAK = "\u23CE";

/** A message as the line editor has it. */
export function asLine(message: string): string {
  return message.replace(/\r\n?|[\n\u2028\u2029]/g, BREAK);
}

/** What an edited line means. */
export function asMessage(line: string): string {
  return line.replaceAll(BREAK, "\n");
}

async function readLines(file: string): Promise<string[]> {
  try {
    return (await readWhole(file, MAX_BYTES)).split("\n");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Whatever else stands in the file is passed over. */
function entryOf(line: string): string[] {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === "string" && entry.length <= MAX_LENGTH ? [entry] : [];
  } catch {
    return [];
  }
}
