import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CLI } from "./run-cli.js";

const HELPER = fileURLToPath(new URL("terminal.py", import.meta.url));
const PATIENCE_MS = 20_000;

/** Whether this machine can give a command a terminal. */
const hasTerminals = spawnSync("python3", ["-c", "import pty"]).status === 0;

/** Tests that need a terminal; without Python they are skipped by name. */
export function describeTerminal(name: string, tests: () => void): void {
  if (hasTerminals) describe(name, tests);
  else describe.skip(`${name} (python3 gives no terminals here)`, tests);
}

/** The built command in a terminal of 80 columns and 24 rows. */
export class Terminal {
  /** Everything that was shown. */
  text = "";
  readonly child: ChildProcess;
  /** The exit code. */
  readonly ended: Promise<number | null>;
  #seen = 0;
  #onText = () => {};

  constructor(args: string[], env: Record<string, string>) {
    const command = [HELPER, "80", "24", process.execPath, CLI, ...args];
    this.child = spawn("python3", command, {
      env: { PATH: process.env.PATH ?? "", TERM: "xterm-256color", ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.text += text;
      this.#onText();
    });
    this.child.stdin!.on("error", () => {});
    this.ended = new Promise((resolve) => this.child.on("close", (code) => resolve(code)));
  }

  type(keys: string): void {
    this.child.stdin!.write(keys);
  }

  /** Waits until something is shown, behind what was waited for before; gives all up to it. */
  async shows(wanted: string | RegExp): Promise<string> {
    const pattern = typeof wanted === "string" ? new RegExp(wanted.replace(/\W/g, "\\$&")) : wanted;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${pattern} was not shown: ${JSON.stringify(this.unseen)}`)),
        PATIENCE_MS,
      );
      this.#onText = () => {
        const found = pattern.exec(this.unseen);
        if (!found) return;
        clearTimeout(timer);
        this.#onText = () => {};
        const end = found.index + found[0].length;
        resolve(this.unseen.slice(0, end));
        this.#seen += end;
      };
      this.#onText();
    });
  }

  /** What was shown behind what was waited for. */
  get unseen(): string {
    return this.text.slice(this.#seen);
  }
}
