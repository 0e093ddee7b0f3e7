import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { Tool } from "../types.js";
import { compileGrammar } from "./grammar.js";
import type { LoadedModel } from "./model.js";
import type { NativeSampling } from "./native-types.js";
import type { ReplyFormat } from "./reply/reply-format.js";
import { callGrammar } from "./tools/call-grammar.js";

/** What the addon needs to keep a reply to the calls that a request demands. */
export async function callChoice(
  model: LoadedModel,
  request: CheckedRequest,
  { calls, reasoningUntil }: ReplyFormat,
): Promise<Pick<NativeSampling, "grammar" | "grammarAfter">> {
  if (!mustCall(request)) return {};
  const { tokenizer } = model;
  const after = reasoningUntil === undefined ? [] : [tokenizer.tokenId(reasoningUntil)];
  if (!calls || after.includes(undefined)) throw cannotEnforce();
  const text = callGrammar({
    ...calls,
    prelude: request.reasoning === false ? [] : calls.prelude,
    tools: chosenTools(request),
    specialToken: (mark) => {
      const id = tokenizer.tokenId(mark);
      return id !== undefined && tokenizer.isSpecial(id) ? id : undefined;
    },
  });
  return {
    grammar: await compileGrammar(model, { type: "lark", text }),
    ...(after.length > 0 && { grammarAfter: after as number[] }),
  };
}

/** Whether a request leaves the model no choice but to call. */
function mustCall({ tools = [], toolChoice }: CheckedRequest): boolean {
  return tools.length > 0 && (toolChoice === "required" || typeof toolChoice === "object");
}

function chosenTools({ tools = [], toolChoice }: CheckedRequest): Tool[] {
  if (typeof toolChoice !== "object") return tools;
  const { name } = toolChoice.function;
  const chosen = tools.filter((tool) => tool.function.name === name);
  if (chosen.length > 0) return chosen;
  throw new ValidationError(`toolChoice names "${name}", but no tool has that name.`);
}

function cannotEnforce(): ValidationError {
  return new ValidationError("MLX does not support toolChoice for this model.", {
    code: "unsupported",
    provider: "mlx",
    hint: 'Use "auto": docs/tools.md tells which families can be made to call.',
  });
}
