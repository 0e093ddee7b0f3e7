import { writeSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import type { LLMError } from "../index.js";
import { EXIT, exitCodeOf } from "./exit-codes.js";
import { attemptLines, describeError } from "./format.js";
import { type Io, processIo } from "./io.js";
import { runProgram } from "./program.js";

/** How long an interrupted command may take to end by itself. */
const INTERRUPT_GRACE_MS = 1000;

// undici reads answers with WebAssembly; optimising that takes longer than a command reads.
setFlagsFromString("--liftoff-only");

const stopping = new AbortController();
let interrupted = false;
let pipeClosed = false;

/** Set by a command that ends by itself when it is told to. */
let endGently: (() => void) | undefined;

process.on("SIGINT", () => {
  if (interrupted) process.exit(EXIT.interrupt);
  if (endGently) return gently(endGently);
  interrupted = true;
  stopping.abort();
  setTimeout(() => process.exit(EXIT.interrupt), INTERRUPT_GRACE_MS).unref();
});

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") {
    writeSync(2, `llm-client: stdout cannot be written: ${error.message}\n`);
    process.exit(EXIT.failure);
  }
  // The reader has seen enough, as with `| head`.
  pipeClosed = true;
  stopping.abort();
});
// Without a reader for messages there is nobody to tell about that.
process.stderr.on("error", () => {});

const io = processIo(stopping.signal, stopped);
const code = await runProgram(process.argv, io, (error, verbose) => report(error, verbose, io));
await Promise.all([io.stdout.write(""), io.stderr.write("")]);
// Left to itself, Node would wait for what V8 still compiles in the background: 100 ms on Node 20.
process.exit(code);

/** From now on the first interrupt, or the first wish that the process ends, only resolves this. */
function stopped(): Promise<void> {
  return new Promise((resolve) => {
    endGently = resolve;
    process.once("SIGTERM", () => gently(resolve));
  });
}

function gently(end: () => void): void {
  endGently = undefined;
  end();
}

/** The only place that turns an error into an exit code. */
async function report(error: unknown, verbose: boolean, { stderr }: Io): Promise<number> {
  if (pipeClosed) return EXIT.ok;
  if (interrupted) return EXIT.interrupt;
  await stderr.write(`llm-client: ${describeError(error)}`);
  if (verbose) {
    const { attempts = [], stack } = error as Partial<LLMError>;
    const details = [...attemptLines(attempts), ...(stack ? [stack] : [])];
    await stderr.write(stderr.dim(details.map((line) => `${line}\n`).join("")));
  }
  return exitCodeOf(error);
}
