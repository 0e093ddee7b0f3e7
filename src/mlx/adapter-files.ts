import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ModelLoadError } from "../errors.js";
import { isObject, type Json, readJsonObject } from "./json-file.js";
import type { NativeAdapter } from "./native-types.js";
import { readSafetensorsHeader } from "./safetensors.js";

/** PEFT's names of an adapter's tensors: the module, and what of it. */
const PEFT_NAME =
  /^base_model\.model\.(?<path>[\w.]+?)\.(?:lora_(?:embedding_)?(?<half>[AB])(?:\.default)?(?:\.weight)?|(?<magnitude>lora_magnitude_vector)(?:\.default)?(?:\.weight)?|(?:modules_to_save\.(?:default\.)?)?(?<whole>weight|bias))$/;

/** Settings of PEFT that change what the tensors mean, and that nobody here knows. */
const UNKNOWN_SETTINGS = [
  "fan_in_fan_out",
  "layer_replication",
  "lora_bias",
  "alora_invocation_tokens",
];

/**
 * Reads and checks the files of a LoRA or DoRA adapter, in mlx-lm's folder or in PEFT's; throws a
 * `ModelLoadError`, code `bad_adapter`.
 */
export async function readAdapter(folder: string): Promise<NativeAdapter> {
  const config = await readJsonObject(join(folder, "adapter_config.json"), "bad_adapter");
  if (!config) {
    const hint = "Give the folder that holds adapter_config.json and the adapter's weights.";
    throw badAdapter(`${folder} has no adapter_config.json, so it is not an adapter`, hint);
  }
  return "peft_type" in config ? readPeft(folder, config) : readMlxLm(folder, config);
}

async function readMlxLm(folder: string, config: Json): Promise<NativeAdapter> {
  const file = await weightsIn(folder, "adapters.safetensors");
  const { fine_tune_type: kind = "lora", lora_parameters: parameters } = config;
  if (kind !== "lora" && kind !== "dora" && kind !== "full") {
    throw badAdapter(`${folder} is an adapter of the unknown kind ${JSON.stringify(kind)}`);
  }
  const scale = isObject(parameters) ? parameters.scale : undefined;
  if (kind !== "full" && typeof scale !== "number") {
    throw badAdapter(`${folder}/adapter_config.json has no number at lora_parameters.scale`);
  }
  const { tensors } = await readSafetensorsHeader(file);
  const names = [...tensors.keys()].map((name) => [name, name]);
  return { file, scale: Number(scale ?? 1), transposed: false, tensors: Object.fromEntries(names) };
}

async function readPeft(folder: string, config: Json): Promise<NativeAdapter> {
  const where = `${folder}/adapter_config.json`;
  if (config.peft_type !== "LORA") {
    throw badAdapter(`${where} is for ${JSON.stringify(config.peft_type)}, not LORA`);
  }
  for (const name of UNKNOWN_SETTINGS) {
    const value = config[name];
    if (value !== undefined && value !== null && value !== false) {
      throw badAdapter(`${where} sets ${name}, which is not supported`);
    }
  }
  if (![undefined, null, "none"].includes(config.bias as string)) {
    throw badAdapter(`${where} trains biases ("bias": ${JSON.stringify(config.bias)})`);
  }
  const file = await weightsIn(folder, "adapter_model.safetensors");
  const { tensors } = await readSafetensorsHeader(file);
  const targets: Record<string, string> = {};
  const scales: Record<string, number> = {};
  const scaleOf = scaling(config, where);
  for (const name of tensors.keys()) {
    const { path: told, half, magnitude, whole } = PEFT_NAME.exec(name)?.groups ?? {};
    if (!told) throw badAdapter(`${file}: nobody knows what the tensor "${name}" is for`);
    const path = told.replace(/^model\.language_model\./, "model.");
    targets[name] = `${path}.${whole ?? (magnitude ? "m" : `lora_${half!.toLowerCase()}`)}`;
    scales[path] = scaleOf(path);
  }
  return { file, scale: 1, scales, transposed: true, tensors: targets };
}

/** The factor of each module's update: alpha / r, or alpha / √r. */
function scaling(config: Json, where: string): (path: string) => number {
  const numberAt = (value: unknown, name: string) => {
    if (typeof value === "number" && value > 0) return value;
    throw badAdapter(`${where} has no number above 0 at ${name}`);
  };
  const rank = numberAt(config.r, "r");
  const alpha = numberAt(config.lora_alpha, "lora_alpha");
  const ranks = patterns(config.rank_pattern, `${where}: rank_pattern`);
  const alphas = patterns(config.alpha_pattern, `${where}: alpha_pattern`);
  return (path) => {
    const own = numberAt(ranks(path) ?? rank, "rank_pattern");
    const divisor = config.use_rslora === true ? Math.sqrt(own) : own;
    return numberAt(alphas(path) ?? alpha, "alpha_pattern") / divisor;
  };
}

/** Settings for modules by the ends of their paths. */
function patterns(value: unknown, place: string): (path: string) => unknown {
  if (value === undefined || value === null) return () => undefined;
  const entries = isObject(value) ? Object.entries(value) : undefined;
  const odd = entries?.find(([key]) => !/^\^?[\w.]+\$?$/.test(key));
  if (!entries || odd) throw badAdapter(`${place} holds ${JSON.stringify(odd?.[0] ?? value)}`);
  const ends = entries.map(([key, one]) => [key.replace(/^\^|\$$/g, ""), one] as const);
  return (path) => ends.find(([end]) => path === end || path.endsWith(`.${end}`))?.[1];
}

async function weightsIn(folder: string, name: string): Promise<string> {
  const present = await readdir(folder);
  if (present.includes(name)) return join(folder, name);
  const others = present.filter((other) => /\.(?:bin|pth?|npz|safetensors)$/.test(other));
  const found = others.length > 0 ? `, only ${others.join(", ")}` : "";
  throw badAdapter(`${folder} has no ${name}${found}`);
}

function badAdapter(
  problem: string,
  hint = "Choose another adapter, or make it anew.",
): ModelLoadError {
  return new ModelLoadError(`${problem}.`, { code: "bad_adapter", hint });
}
