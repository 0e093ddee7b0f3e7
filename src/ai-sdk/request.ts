import type { LanguageModelV3CallOptions, SharedV3Warning } from "@ai-sdk/provider";
import { type LLMRequest, type Reasoning, type Tool, ValidationError } from "../index.js";
import { messagesOf } from "./prompt.js";

/** Name under which options and metadata of this provider stand in the AI SDK. */
export const OPTIONS_NAME = "mlxLlmClient";

const OPTIONS = [
  "minP",
  "repetitionPenalty",
  "logitBias",
  "logprobs",
  "topLogprobs",
  "reasoning",
  "responseFormat",
  "timeoutOverride",
  "requestId",
  "providerOptions",
] as const satisfies (keyof LLMRequest)[];

/** Options of a request that the AI SDK has no word for, as `providerOptions.mlxLlmClient`. */
export type MlxLlmClientOptions = Pick<LLMRequest, (typeof OPTIONS)[number]>;

/** Version 7 of the AI SDK has a word for it. */
type CallOptions = LanguageModelV3CallOptions & { reasoning?: string };

/** A call of the AI SDK as a request of the client, and what of it is not done as asked. */
export function requestOf(
  options: CallOptions,
  model: string | undefined,
): { request: LLMRequest; warnings: SharedV3Warning[] } {
  const warnings = foreignSettings(options);
  const { stopSequences = [], seed, temperature, topP, topK } = options;
  const { presencePenalty, frequencyPenalty, maxOutputTokens: maxTokens } = options;
  const fields: Omit<LLMRequest, "messages"> = {
    ...{ model, maxTokens, temperature, topP, topK, seed, presencePenalty, frequencyPenalty },
    stop: stopSequences.length > 0 ? stopSequences : undefined,
    tools: toolsOf(options, warnings),
    toolChoice: choiceOf(options),
    responseFormat: formatOf(options),
    reasoning: reasoningOf(options, warnings),
    signal: options.abortSignal,
    ...ownOptions(options),
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const messages = messagesOf(options.prompt, warnings);
  return { request: { messages, ...Object.fromEntries(given) }, warnings };
}

/** Settings that mean nothing here. */
export function foreignSettings({ headers = {} }: Pick<CallOptions, "headers">): SharedV3Warning[] {
  // The AI SDK always tells its own name there.
  const names = Object.keys(headers).filter((name) => name.toLowerCase() !== "user-agent");
  if (names.length === 0) return [];
  const details = "The client has connections of its own.";
  return [{ type: "unsupported", feature: `headers (${names.join(", ")})`, details }];
}

function toolsOf({ tools = [] }: CallOptions, warnings: SharedV3Warning[]): Tool[] | undefined {
  const known = tools.flatMap((tool): Tool[] => {
    const refuse = (feature: string) =>
      warnings.push({ type: "unsupported", feature: `${feature} of the tool "${tool.name}"` });
    if (tool.type === "provider") {
      warnings.push({ type: "unsupported", feature: `the provider's tool "${tool.id}"` });
      return [];
    }
    const { name, description, inputSchema } = tool;
    if (tool.strict) refuse("strict mode");
    if (tool.inputExamples) refuse("input examples");
    const parameters = inputSchema as Record<string, unknown>;
    const described = description === undefined ? {} : { description };
    return [{ type: "function", function: { name, ...described, parameters } }];
  });
  return known.length > 0 ? known : undefined;
}

function choiceOf({ toolChoice }: CallOptions): LLMRequest["toolChoice"] {
  if (toolChoice?.type !== "tool") return toolChoice?.type;
  return { type: "function", function: { name: toolChoice.toolName } };
}

function formatOf({ responseFormat: format }: CallOptions): LLMRequest["responseFormat"] {
  if (format?.type !== "json") return undefined;
  if (!format.schema) return { type: "json_object" };
  const { name, description } = format;
  const schema = { ...(description && { description }), ...format.schema };
  return { type: "json_schema", schema, ...(name && { name }) };
}

const REASONING: Record<string, Reasoning | undefined> = {
  "provider-default": undefined,
  none: false,
  minimal: "low",
  low: "low",
  medium: "medium",
  high: "high",
  xhigh: "high",
};

function reasoningOf(
  { reasoning }: CallOptions,
  warnings: SharedV3Warning[],
): Reasoning | undefined {
  if (reasoning !== undefined && !(reasoning in REASONING)) {
    warnings.push({ type: "unsupported", feature: `reasoning "${reasoning}"` });
  }
  if (reasoning === "minimal" || reasoning === "xhigh") {
    const details = `"${REASONING[reasoning]}" was taken.`;
    warnings.push({ type: "compatibility", feature: `reasoning "${reasoning}"`, details });
  }
  return REASONING[reasoning ?? "provider-default"];
}

function ownOptions({ providerOptions }: CallOptions): MlxLlmClientOptions {
  const own = providerOptions?.[OPTIONS_NAME] ?? {};
  const strange = Object.keys(own).filter((name) => !(OPTIONS as readonly string[]).includes(name));
  if (strange.length > 0) {
    throw new ValidationError(
      `The request is wrong: providerOptions.${OPTIONS_NAME} has no ${strange.join(", ")}.`,
      { hint: `It may have ${OPTIONS.join(", ")}.` },
    );
  }
  return own;
}
