import { Command, Option } from "commander";
import type { Conversion, WeightType } from "../index.js";
import { quantizeFlag } from "./mlx-flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { cellText } from "./table.js";

/** What `llm-client convert` was asked to do. */
export interface ConvertCommandOptions extends Conversion {
  json: boolean;
}

interface Flags extends Omit<Conversion, "model" | "folder"> {
  json?: boolean;
}

const EXAMPLES = `
Examples:
  $ llm-client convert Qwen/Qwen3-0.6B ./qwen3-4bit --quantize 4
  $ llm-client convert ./finetuned ./finetuned-mixed --quantize mixed_4_6
  $ llm-client convert mlx-community/Qwen3-0.6B-4bit ./dense --dequantize
  $ llm-client generate -m ./qwen3-4bit "Hello"`;

const TYPES: WeightType[] = ["float16", "bfloat16", "float32"];

/** The flags and help of `llm-client convert`. */
export function convertCommand(run: (options: ConvertCommandOptions) => Promise<void>): Command {
  const groupSize = new Option("--group-size <number>", "weights that share a scale");
  const dequantize = new Option("--dequantize", "make quantized weights dense");
  return new Command("convert")
    .description("write a model as a folder in MLX format, which mlx-lm reads as well")
    .argument("<model>", "org/name, a folder, or a GGUF file")
    .argument("<folder>", "a new folder")
    .addOption(quantizeFlag("quantize its weights"))
    .addOption(groupSize.choices(["32", "64", "128"]))
    .addOption(dequantize.conflicts("quantize"))
    .addOption(new Option("--dtype <type>", "type of what is not quantized").choices(TYPES))
    .option("--json", "print one JSON object")
    .addHelpText("after", EXAMPLES)
    .action((model: string, folder: string, { json = false, groupSize: size, ...flags }: Flags) => {
      const groups = size && { groupSize: Number(size) as Flags["groupSize"] };
      return run({ ...flags, ...groups, model, folder, json });
    });
}

/** Converts a model and tells what was written. */
export async function runConvert(
  { json, ...conversion }: ConvertCommandOptions,
  { signal, stdout, stderr }: Io,
): Promise<void> {
  const { convertModel } = await import("../index.js");
  if (stderr.isTTY) await stderr.write(stderr.dim(`converting ${cellText(conversion.model)}…\n`));
  const converted = await convertModel({ ...conversion, signal });
  if (json) return stdout.write(`${JSON.stringify(converted, undefined, 2)}\n`);
  const { folder, bytes, bitsPerWeight } = converted;
  const size = `${formatBytes(bytes)}, ${bitsPerWeight.toFixed(2)} bits per weight`;
  await stdout.write(`${cellText(folder)}: ${size}\n`);
}
