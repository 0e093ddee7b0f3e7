import { type Command, Option } from "commander";
import type { MlxOptions, Quantize } from "../index.js";
import { numberFlag, type Range } from "./number-flag.js";

const MLX_FLAGS = [
  "raw",
  "adapter",
  "quantize",
  "distributed",
  "xtcProbability",
  "xtcThreshold",
  "kvBits",
  "kvGroupSize",
  "quantizedKvStart",
  "maxKvSize",
  "prefillStepSize",
  "promptCacheFile",
  "draftModel",
  "numDraftTokens",
  "promptLookup",
  "mtp",
] as const satisfies (keyof MlxOptions)[];

/** What commander reads for the flags of `addMlxFlags`. */
export type MlxFlags = Pick<MlxOptions, (typeof MLX_FLAGS)[number]>;

const QUANTIZE: Record<`${Quantize}`, Quantize> = {
  2: 2,
  3: 3,
  4: 4,
  5: 5,
  6: 6,
  8: 8,
  mxfp4: "mxfp4",
  mxfp8: "mxfp8",
  nvfp4: "nvfp4",
  mixed_2_6: "mixed_2_6",
  mixed_3_4: "mixed_3_4",
  mixed_3_6: "mixed_3_6",
  mixed_4_6: "mixed_4_6",
};

/** Adds the flags for what only mlx can do. */
export function addMlxFlags(command: Command): Command {
  addRawFlag(addKeptFlags(command))
    .option("--distributed", "share the model with the processes that mlx.launch started (mlx)")
    .addOption(
      new Option(
        "--prompt-cache-file <file>",
        "go on behind the text of a file of cache-prompt (mlx)",
      ).conflicts("system"),
    );
  return addDecodingFlags(command);
}

/** Adds the flags for how mlx chooses tokens, and guesses them ahead. */
export function addDecodingFlags(command: Command): Command {
  const add = numberAdder(command);
  add("--xtc-probability", "chance to leave out the best tokens", { min: 0, max: 1 });
  add("--xtc-threshold", "what XTC takes for a good token", { min: 0, max: 0.5 });
  command.option(
    "--draft-model <name>",
    "smaller model whose guesses are checked, for speed (mlx)",
  );
  add("--num-draft-tokens", "tokens that it guesses at a time", { whole: true, min: 1, max: 64 });
  return command
    .option("--no-prompt-lookup", "never guess that the reply repeats what came before (mlx)")
    .option("--no-mtp", "never guess with the model's own head for several tokens (mlx)");
}

/** Adds the flags that shape what mlx keeps of a prompt. */
export function addKeptFlags(command: Command): Command {
  const add = numberAdder(command);
  command
    .option("--adapter <folder>", "LoRA or DoRA adapter to use (mlx)")
    .addOption(quantizeFlag("quantize the weights while they are loaded (mlx)"));
  add("--kv-bits", "keep keys and values in 2, 3, 4, 5, 6 or 8 bits", {
    whole: true,
    min: 2,
    max: 8,
  });
  add("--kv-group-size", "keys and values that share a scale: 32, 64 or 128", {
    whole: true,
    min: 32,
    max: 128,
  });
  add("--quantized-kv-start", "tokens from which on --kv-bits holds", { whole: true, min: 0 });
  add("--max-kv-size", "most tokens to keep in layers that would keep all", {
    whole: true,
    min: 8,
  });
  add("--prefill-step-size", "prompt tokens to read at a time", { whole: true, min: 1, max: 8192 });
  return command;
}

/** Adds the flag for prompts without a template. */
export function addRawFlag(command: Command): Command {
  return command.addOption(
    new Option("--raw", "do not apply the model's chat template (mlx)").conflicts("system"),
  );
}

function numberAdder(command: Command): (name: string, text: string, range: Range) => Command {
  return (name, text, range) =>
    command.option(`${name} <number>`, `${text} (mlx)`, numberFlag(name, range));
}

/** Takes what only mlx can do out of parsed flags. */
export function splitMlxFlags<Flags extends MlxFlags>(
  flags: Flags,
): { mlx: MlxOptions; others: Omit<Flags, keyof MlxFlags> } {
  const isMlx = ([name]: [string, unknown]) => MLX_FLAGS.some((flag) => flag === name);
  // Commander says true where a flag that begins with --no is absent.
  const isTold = ([name, value]: [string, unknown]) =>
    (name !== "promptLookup" && name !== "mtp") || value === false;
  const entries = Object.entries(flags).filter(isTold);
  return {
    mlx: Object.fromEntries(entries.filter(isMlx)),
    others: Object.fromEntries(entries.filter((entry) => !isMlx(entry))) as Omit<
      Flags,
      keyof MlxFlags
    >,
  };
}

/** `--quantize`, which names one of the ways to quantize. */
export function quantizeFlag(description: string): Option {
  const option = new Option("--quantize <how>", description).choices(Object.keys(QUANTIZE));
  const choose = option.parseArg!;
  return option.argParser((text: string, earlier: unknown) => {
    choose(text, earlier);
    return QUANTIZE[text as `${Quantize}`];
  });
}
