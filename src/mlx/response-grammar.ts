import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { ResponseFormat } from "../types.js";
import { compileGrammar, type Grammar } from "./grammar.js";
import type { LoadedModel } from "./model.js";
import type { NativeSampling } from "./native-types.js";
import { HARMONY_ANSWER } from "./reply/harmony.js";
import type { ReplyFormat } from "./reply/reply-format.js";

/** What the addon needs to keep a reply in its form; nothing where it may be any text. */
export async function responseGrammar(
  model: LoadedModel,
  { responseFormat, tools = [], toolChoice }: CheckedRequest,
  { endOfReasoning, reasoningUntil }: ReplyFormat,
): Promise<Pick<NativeSampling, "grammar" | "grammarAfter">> {
  const form = grammarOf(responseFormat);
  if (!form) return {};
  if (endOfReasoning === HARMONY_ANSWER) throw unsupported("this model, which speaks in channels");
  if (tools.length > 0 && toolChoice !== "none") throw unsupported("a request that offers tools");
  const grammar = await compileGrammar(model, form);
  if (reasoningUntil === undefined) return { grammar };
  const end = model.tokenizer.tokenId(reasoningUntil);
  if (end === undefined) throw unsupported(`this model, which has no token ${reasoningUntil}`);
  return { grammar, grammarAfter: [end] };
}

function unsupported(what: string): ValidationError {
  return new ValidationError(`MLX keeps no responseFormat with ${what}.`, { code: "unsupported" });
}

/** The grammar of a form. */
export function grammarOf(format: ResponseFormat = { type: "text" }): Grammar | undefined {
  switch (format.type) {
    case "text":
      return undefined;
    case "json_object":
      return jsonGrammar({ type: "object" });
    case "json_schema":
      return jsonGrammar(format.schema);
    case "regex":
      return { type: "regex", text: format.pattern };
    case "grammar":
      return { type: "lark", text: format.grammar };
  }
}

/** A space, or a line's end and an indentation: some models would write white space for ever. */
const WHITE_SPACE = { whitespace_pattern: "( |\\r?\\n[ \\t]{0,40})?" };

function jsonGrammar(schema: Record<string, unknown>): Grammar {
  return { type: "json_schema", text: JSON.stringify({ ...schema, "x-guidance": WHITE_SPACE }) };
}
