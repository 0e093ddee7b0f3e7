import { join } from "node:path";
import { ModelLoadError } from "../errors.js";
import type { Pooling } from "../types.js";
import { isObject, type Json, readJsonList, readJsonObject } from "./json-file.js";
import type { NativeDense } from "./native-types.js";
import { readSafetensorsHeader } from "./safetensors.js";

/** The keys under which older files say how to pool, in the order in which several are joined. */
const POOLING_FLAGS: Record<string, Pooling> = {
  pooling_mode_cls_token: "cls",
  pooling_mode_max_tokens: "max",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_mean_sqrt_len_tokens: "mean_sqrt_len_tokens",
  pooling_mode_weightedmean_tokens: "weightedmean",
  pooling_mode_lasttoken: "lasttoken",
};

const POOLINGS = Object.values(POOLING_FLAGS);

/** How hidden states become a vector. */
export interface VectorSteps {
  poolings: Pooling[];
  /** False: the tokens of a prompt take no part. */
  includesPrompt: boolean;
  dense: NativeDense[];
  normalizes: boolean;
}

/** What the files of sentence-transformers say about a model, beside its own. */
export interface SentenceFiles {
  /** Of a model that embeds, if modules.json says how. */
  steps?: VectorSteps;
  /** Of a model that ranks by what it would say next: the tokens for yes and no. */
  answers?: { yes: number; no: number };
  /** Tokens that a text may have. */
  maxTokens?: number;
  lowercases: boolean;
  /** Texts that are put before others, by name. */
  prompts: Record<string, string>;
  defaultPrompt?: string;
  /** The function of a classifier's judgements, by its path in Python. */
  activation?: string;
}

/** Of a model that has no such files. */
export const NO_SENTENCE_FILES: SentenceFiles = { lowercases: false, prompts: {} };

/** What a module of modules.json is, and where its files are. */
interface Module {
  kind: string;
  folder: string;
}

/** Reads modules.json of a model's folder and what it names; weights are not read. */
export async function readSentenceFiles(folder: string): Promise<SentenceFiles> {
  const modules = await readModules(folder);
  const [first] = modules;
  const transformer =
    (await readJsonObject(
      join(first?.folder ?? folder, "sentence_bert_config.json"),
      "bad_config",
    )) ?? {};
  const all =
    (await readJsonObject(join(folder, "config_sentence_transformers.json"), "bad_config")) ?? {};
  return {
    ...(await readSteps(folder, modules.slice(1))),
    maxTokens: sizeOf(transformer.max_seq_length),
    lowercases: transformer.do_lower_case === true,
    prompts: promptsOf(all.prompts),
    defaultPrompt: textOf(all.default_prompt_name),
    activation: textOf(all.activation_fn),
  };
}

async function readModules(folder: string): Promise<Module[]> {
  const file = join(folder, "modules.json");
  const list = (await readJsonList(file, "bad_config")) ?? [];
  return list.map((entry) => {
    const { type, path } = isObject(entry) ? entry : {};
    if (typeof type !== "string" || typeof path !== "string" || !/^[\w.-]*$/.test(path)) {
      throw wrong(file, "has a module without a type, or with a path that is no folder of it");
    }
    if (path === "..") throw wrong(file, "has a module outside of its folder");
    return { kind: type.split(".").at(-1)!, folder: join(folder, path) };
  });
}

async function readSteps(
  folder: string,
  modules: Module[],
): Promise<Pick<SentenceFiles, "steps" | "answers">> {
  const [first, ...others] = modules;
  if (!first) return {};
  if (first.kind === "LogitScore") return { answers: await readAnswers(first) };
  if (first.kind !== "Pooling") throw unknownModule(folder, first);
  const pooling = await readConfig(first);
  const steps: VectorSteps = {
    poolings: poolingsOf(pooling, first),
    includesPrompt: pooling.include_prompt !== false,
    dense: [],
    normalizes: false,
  };
  for (const module of others) {
    if (module.kind === "Dense" && !steps.normalizes) steps.dense.push(await readDense(module));
    else if (module.kind === "Normalize") steps.normalizes = true;
    else throw unknownModule(folder, module);
  }
  return { steps };
}

function poolingsOf(config: Json, module: Module): Pooling[] {
  const flagged = Object.entries(POOLING_FLAGS).flatMap(([key, pooling]) =>
    config[key] === true ? [pooling] : [],
  );
  const named = config.pooling_mode === undefined ? flagged : [config.pooling_mode].flat();
  const poolings = named.length === 0 ? ["mean"] : named;
  const unknown = poolings.find((pooling) => !POOLINGS.includes(pooling as Pooling));
  if (unknown === undefined) return poolings as Pooling[];
  throw wrong(configOf(module), `pools by ${JSON.stringify(unknown)}, which is not known`);
}

async function readAnswers(module: Module): Promise<{ yes: number; no: number }> {
  const { true_token_id: yes, false_token_id: no } = await readConfig(module);
  if (isToken(yes) && isToken(no)) return { yes, no };
  throw wrong(configOf(module), "does not name two tokens");
}

/** What a dense layer's configuration says, and whether its file can be trusted. */
async function readDense(module: Module): Promise<NativeDense> {
  const config = await readConfig(module);
  const { in_features, out_features, bias = true, activation_function } = config;
  const activation = textOf(activation_function) ?? "torch.nn.modules.activation.Tanh";
  const tanh = activation.endsWith(".Tanh");
  const isUsual =
    config.use_residual !== true &&
    [undefined, "sentence_embedding"].includes(textOf(config.module_input_name)) &&
    [undefined, "sentence_embedding"].includes(textOf(config.module_output_name));
  if (!isUsual || (!tanh && !activation.endsWith(".Identity"))) {
    throw wrong(configOf(module), "describes a dense layer of a kind that is not supported");
  }
  const file = join(module.folder, "model.safetensors");
  await readSafetensorsHeader(file);
  return {
    file,
    in_features: Number(in_features),
    out_features: Number(out_features),
    bias: bias === true,
    tanh,
  };
}

async function readConfig(module: Module): Promise<Json> {
  const config = await readJsonObject(configOf(module), "bad_config");
  if (config) return config;
  throw wrong(configOf(module), "is missing, though modules.json names its folder");
}

function configOf({ folder }: Module): string {
  return join(folder, "config.json");
}

function promptsOf(value: unknown): Record<string, string> {
  const entries = isObject(value) ? Object.entries(value) : [];
  return Object.fromEntries(
    entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

function sizeOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function isToken(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function unknownModule(folder: string, { kind }: Module): ModelLoadError {
  return wrong(join(folder, "modules.json"), `has a module "${kind}" where none is supported`);
}

function wrong(file: string, what: string): ModelLoadError {
  return new ModelLoadError(`${file} ${what}.`, {
    code: "bad_config",
    hint: "Choose another model, or convert this one for what it is to do.",
  });
}
