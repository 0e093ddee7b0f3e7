import { ValidationError } from "../errors.js";
import type { CheckedRequest } from "../request.js";
import type { ResponseFormat, Tool } from "../types.js";
import { compileGrammar, type Grammar, jsonGrammar } from "./grammar.js";
import { LarkWriter, nested } from "./lark.js";
import type { LoadedModel } from "./model.js";
import type { NativeGrammar } from "./native-types.js";
import type { ReplyFormat, Thoughts } from "./reply/reply-format.js";
import { callRules } from "./tools/call-grammar.js";

/** What keeps a reply in its form. */
export interface ReplyGrammar {
  grammar?: NativeGrammar;
  /** The same for what comes behind reasoning that was cut. */
  grammarOfRest?: NativeGrammar;
  warnings: string[];
}

/** What a request demands of a reply: content of a form, calls, or either of them. */
interface Demands {
  form?: Grammar;
  tools: Tool[];
}

/** The grammar of what a request wants; nothing where the reply may be any text. */
export async function replyGrammar(
  model: LoadedModel,
  request: CheckedRequest,
  format: ReplyFormat,
): Promise<ReplyGrammar> {
  const demands = demandsOf(request, format);
  const { form, tools } = demands;
  if (!form && tools.length === 0) return { warnings: [] };
  // What is wrong with a form is told in words of its own.
  const plain = form && (await compileGrammar(model, form));
  const { thoughts } = format;
  if (plain && tools.length === 0 && !thoughts && !format.answer) {
    return { grammar: plain, warnings: [] };
  }
  const compile = (text: string) => compileGrammar(model, { type: "lark", text });
  const { rules, warnings } = bodyRules(model, demands, format);
  const mayThink = thoughts && (request.reasoning !== false || thoughts.open === "");
  const answer = ["start: body", ...rules].join("\n");
  if (!mayThink) return { grammar: await compile(answer), warnings };
  const lark = larkOf(model, format);
  const grammar = await compile([...thoughtRules(thoughts, lark), ...rules].join("\n"));
  if (request.reasoningBudget === undefined) return { grammar, warnings };
  return { grammar, grammarOfRest: await compile(answer), warnings };
}

function demandsOf(request: CheckedRequest, { calls }: ReplyFormat): Demands {
  const { toolChoice } = request;
  const tools = toolChoice === "none" ? [] : (request.tools ?? []);
  const isCallDue =
    tools.length > 0 && (toolChoice === "required" || typeof toolChoice === "object");
  if (isCallDue) {
    return { tools: chosenTools(tools, toolChoice) };
  }
  const form = grammarOf(request.responseFormat);
  // Calls that nothing tells from text might be taken for the form.
  if (form && tools.length > 0 && !calls?.openings.length) {
    throw new ValidationError("MLX does not support responseFormat beside tools for this model.", {
      code: "unsupported",
      provider: "mlx",
      hint: "Leave out one of them, or give toolChoice.",
    });
  }
  return { form, tools: form ? tools : [] };
}

function chosenTools(tools: Tool[], choice: CheckedRequest["toolChoice"]): Tool[] {
  if (typeof choice !== "object") return tools;
  const { name } = choice.function;
  const chosen = tools.filter((tool) => tool.function.name === name);
  if (chosen.length > 0) return chosen;
  throw new ValidationError(`toolChoice names "${name}", but no tool has that name.`);
}

function larkOf({ tokenizer, stopTokens }: LoadedModel, { marks }: ReplyFormat): LarkWriter {
  return new LarkWriter({ tokenizer, stopTokens, marks });
}

/** The rules for all but the reasoning, and what they cannot hold. */
function bodyRules(
  model: LoadedModel,
  { form, tools }: Demands,
  format: ReplyFormat,
): { rules: string[]; warnings: string[] } {
  const lark = larkOf(model, format);
  const { answer = "", calls } = format;
  const { rules, loose } = tools.length > 0 ? callRules(calls!.frame, tools, lark) : NO_CALLS;
  const content = form ? [`${lark.literal(answer)} form`] : [];
  const alternatives = [...content, ...(tools.length > 0 ? ["calls"] : [])];
  const words = [...loose].map((keyword) => `"${keyword}"`).join(" and ");
  return {
    rules: [
      `body: ${alternatives.join(" | ")}`,
      ...(form ? [`form: ${nested(form)}`] : []),
      ...rules,
      "",
    ],
    warnings: loose.size === 0 ? [] : [`the calls of this model are not kept to ${words} of texts`],
  };
}

const NO_CALLS = { rules: [], loose: new Set<string>() };

/** The rules for reasoning that the prompt has begun, or that may come first. */
function thoughtRules({ open, ends, behind }: Thoughts, lark: LarkWriter): string[] {
  const [end = ""] = ends;
  const token = lark.token(end);
  const text = token ? `thoughts ${token}` : "thoughts";
  const whole = `${lark.literal(open)} ${text} ${lark.literal(behind)}`;
  return [
    `start: ${open === "" ? whole : `(${whole})?`} body`,
    token ? `thoughts: ${lark.allBut(ends)}` : `thoughts[suffix=${JSON.stringify(end)}]: /(?s:.*)/`,
  ];
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
