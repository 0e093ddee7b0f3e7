import { type Command, InvalidArgumentError, Option } from "commander";
import type {
  ConfigSources,
  LLMConfig,
  LLMRequest,
  Reasoning,
  ProviderName,
  ResponseFormat,
} from "../index.js";
import {
  addDecodingFlags,
  addKeptFlags,
  addMlxFlags,
  type MlxFlags,
  splitMlxFlags,
} from "./mlx-flags.js";
import { numberFlag, type Range } from "./number-flag.js";

/** Flags that every command has. */
export interface CommonOptions {
  /** What the client is set up from; no setting is given by the command itself. */
  sources: ConfigSources & { flags: LLMConfig };
  json: boolean;
  verbose: boolean;
}

/** What commander reads for the flags of `addCommonFlags`. */
export interface CommonFlags {
  provider?: string;
  baseUrl?: string;
  model?: string;
  config?: string;
  timeout?: number;
  json?: boolean;
  verbose?: boolean;
  /** Of commands that have `addFolderFlag`. */
  promptCacheFolder?: string;
}

/** What commander reads for the flags of `addGenerationFlags`. */
export interface GenerationFlags extends MlxFlags {
  temperature?: number;
  maxTokens?: number;
  system?: string;
  seed?: number;
  topP?: number;
  topK?: number;
  minP?: number;
  stop?: string[];
  repetitionPenalty?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  logprobs?: boolean;
  topLogprobs?: number;
  reasoning?: keyof typeof REASONING;
  reasoningTokens?: number;
  schema?: string;
  jsonObject?: boolean;
  regex?: string;
  grammar?: string;
  tools?: string;
  image?: string[];
}

const PROVIDERS: readonly ProviderName[] = ["mlx", "ollama", "lmstudio"];

const REASONING = { on: true, off: false, low: "low", medium: "medium", high: "high" } as const;

/** Adds the flags that say where the model runs, and how to print. */
export function addCommonFlags(command: Command): Command {
  return command
    .addOption(
      new Option("-p, --provider <name>", "which provider to use").choices([...PROVIDERS, "auto"]),
    )
    .option("-u, --base-url <url>", "address of the server; for mlx also a folder of models")
    .option(
      "-m, --model <name>",
      'model: "demo", org/name, a folder or GGUF file, or provider:model',
    )
    .option("--config <file>", "read settings from this file only")
    .option("--timeout <seconds>", "longest silence allowed", numberFlag("--timeout", { above: 0 }))
    .option("--json", "print one JSON object")
    .option("-v, --verbose", "tell on stderr what is tried, and how long it takes");
}

/** Adds the flag for where mlx keeps what it has read. */
export function addFolderFlag(command: Command): Command {
  return command.option(
    "--prompt-cache-folder <folder>",
    "keep there what has been read, for later processes, too (mlx)",
  );
}

/** Adds the flags that say how to generate. */
export function addGenerationFlags(command: Command): Command {
  addReplyFlags(command)
    .option("--logprobs", "with --json: log-probability of each token")
    .option("--tools <file>", "JSON list of tools that the model may call: a file, or written out")
    .option(
      "--top-logprobs <number>",
      "with --json: that many alternatives",
      numberFlag("--top-logprobs", { whole: true, min: 0, max: 20 }),
    );
  return addMlxFlags(command);
}

/** Adds those that make sense in a conversation, too. */
export function addChatFlags(command: Command): Command {
  return addDecodingFlags(addKeptFlags(addReplyFlags(command)));
}

function addReplyFlags(command: Command): Command {
  const add = (name: string, text: string, range: Range) =>
    command.option(`${name} <number>`, text, numberFlag(name.replace(/^-\w, /, ""), range));
  add("-t, --temperature", "0 (most probable token) to 2", { min: 0, max: 2 });
  add("--max-tokens", "most tokens to generate", { whole: true, min: 1 });
  command.option("--system <text>", "system message");
  add("--seed", "same seed, same text", { whole: true, min: 0 });
  add("--top-p", "keep the tokens that sum up to this probability", { above: 0, max: 1 });
  add("--top-k", "keep this many tokens; 0 keeps all", { whole: true, min: 0 });
  add("--min-p", "drop tokens below this share of the best", { min: 0, max: 1 });
  command.option("--stop <text>", "text that ends the reply; may be repeated", collect("--stop"));
  add("--repetition-penalty", "above 1: avoid recent tokens", { above: 0 });
  add("--presence-penalty", "-2 to 2: avoid tokens used in the reply", { min: -2, max: 2 });
  add("--frequency-penalty", "-2 to 2: avoid tokens used often", { min: -2, max: 2 });
  const reasoning = new Option(
    "--reasoning <level>",
    "whether, or how hard, the model thinks first",
  );
  command.addOption(reasoning.choices(Object.keys(REASONING)));
  add("--reasoning-tokens", "make the model answer after so many", { whole: true, min: 1 });
  command.option(
    "--image <file>",
    "picture to show the model; may be repeated",
    collect("--image"),
  );
  for (const option of formOptions()) command.addOption(option);
  return command;
}

/** The flags that say what form the reply has, of which only one may be given. */
function formOptions(): Option[] {
  const options = [
    new Option("--schema <file>", "JSON Schema that the reply must fit: a file, or written out"),
    new Option("--json-object", "the reply must be a JSON object"),
    new Option("--regex <pattern>", "regular expression that the whole reply must match"),
    new Option("--grammar <file>", "Lark grammar that the reply must follow"),
  ];
  const names = options.map((option) => option.attributeName());
  return options.map((option) =>
    option.conflicts(names.filter((name) => name !== option.attributeName())),
  );
}

/** Where the client's settings come from and the ways to print, from parsed flags. */
export function commonOptions(flags: CommonFlags, command: Command): CommonOptions {
  const { provider, model } = splitModel(flags, command);
  const { baseUrl, timeout, promptCacheFolder, config: configFile } = flags;
  const settings = { provider, model, baseUrl, timeout, promptCacheFolder };
  const given = withoutUndefined(settings) as LLMConfig;
  const options = {
    sources: { flags: given, ...withoutUndefined({ configFile }) },
    json: flags.json ?? false,
    verbose: flags.verbose ?? false,
  };
  return chooseMlx(options, promptCacheFolder ? ["--prompt-cache-folder"] : [], command);
}

/** The same for a command whose argument is a model; like -m that may be `provider:model`. */
export function modelOptions(
  name: string,
  flags: CommonFlags,
  command: Command,
): CommonOptions & { model: string } {
  if (flags.model !== undefined) command.error("error: name the model without -m");
  const options = commonOptions({ ...flags, model: name }, command);
  const { model = name, ...others } = options.sources.flags;
  return { ...options, model, sources: { ...options.sources, flags: others } };
}

/** The request without its messages and what is in files, from parsed flags. */
export function requestOptions(flags: GenerationFlags): Omit<LLMRequest, "messages"> {
  const { mlx, others } = splitMlxFlags(flags);
  const { system: _system, schema: _schema, image: _image, tools: _tools, ...rest } = others;
  const { reasoning, reasoningTokens, jsonObject, regex, grammar: _grammar, ...asked } = rest;
  return withoutUndefined({
    ...asked,
    reasoning: reasoningOf(reasoning, reasoningTokens),
    responseFormat: formOf(jsonObject, regex),
    providerOptions: Object.keys(mlx).length === 0 ? undefined : { mlx },
  });
}

function formOf(jsonObject?: boolean, pattern?: string): ResponseFormat | undefined {
  if (pattern !== undefined) return { type: "regex", pattern };
  return jsonObject ? { type: "json_object" } : undefined;
}

function reasoningOf(level?: keyof typeof REASONING, maxTokens?: number): Reasoning | undefined {
  const effort = level && REASONING[level];
  if (maxTokens === undefined || effort === false) return effort;
  return { maxTokens, ...(typeof effort === "string" && { effort }) };
}

/** The flags by which a request asks for what only mlx can do. */
export function mlxFlags({ providerOptions }: Omit<LLMRequest, "messages">): string[] {
  return Object.keys(providerOptions?.mlx ?? {}).map(flagOf);
}

/** What was meant for mlx means nothing to another provider that answers in its place. */
export function foreignFlags(
  provider: ProviderName,
  request: Omit<LLMRequest, "messages">,
): string[] {
  const names = mlxFlags(request);
  if (provider === "mlx" || names.length === 0) return [];
  return [`${names.join(", ")} had no effect: only mlx can do that, and ${provider} answers`];
}

/** What only mlx can do chooses that provider; beside another one it is refused. */
export function chooseMlx(
  options: CommonOptions,
  names: string[],
  command: Command,
): CommonOptions {
  const { sources } = options;
  const { provider = "auto" } = sources.flags;
  if (names.length === 0 || provider === "mlx") return options;
  if (provider !== "auto") {
    command.error(`error: ${names.join(", ")}: only mlx can do that, not ${provider}`);
  }
  return { ...options, sources: { ...sources, flags: { ...sources.flags, provider: "mlx" } } };
}

/** The provider and the model that a name means; only the names of providers count as such. */
export function splitName(name: string): { provider?: ProviderName; model: string } {
  // Ollama's models contain colons, too.
  const provider = PROVIDERS.find((prefix) => name.startsWith(`${prefix}:`));
  return provider ? { provider, model: name.slice(provider.length + 1) } : { model: name };
}

function splitModel(flags: CommonFlags, command: Command): CommonFlags {
  const { provider, model } = flags;
  const named: CommonFlags = model === undefined ? {} : splitName(model);
  if (named.provider && provider && provider !== "auto" && provider !== named.provider) {
    command.error(`error: --provider ${provider} and --model ${model} name two providers`);
  }
  return { provider, model, ...named };
}

/** `--context`, a number of tokens. */
export function contextFlag(description: string): Option {
  return new Option("--context <tokens>", description).argParser(
    numberFlag("--context", { whole: true, min: 1 }),
  );
}

/** A parser of a flag that may be repeated. */
export function collect(flag: string): (text: string, earlier?: string[]) => string[] {
  return (text, earlier = []) => {
    if (text === "") throw new InvalidArgumentError(`${flag} must not be empty.`);
    return [...earlier, text];
  };
}

function flagOf(name: string): string {
  if (name === "promptLookup") return "--no-prompt-lookup";
  if (name === "mtp") return "--no-mtp";
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function withoutUndefined<T extends object>(value: T): Partial<T> {
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries) as Partial<T>;
}
