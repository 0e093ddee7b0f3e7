import { isObject } from "../fields.js";
import type { CheckedRequest } from "../request.js";

/** Warnings of what a reply lacks or has against what was asked: not every model does all it is told. */
export function disobedience(
  { reasoning, toolChoice, tools = [] }: CheckedRequest,
  { hasCalled, hasReasoned }: { hasCalled: boolean; hasReasoned: boolean },
): string[] {
  const mustCall = tools.length > 0 && (toolChoice === "required" || isObject(toolChoice));
  return [
    ...(mustCall && !hasCalled
      ? ["the reply has no tool call, though toolChoice demands one"]
      : []),
    ...(reasoning === false && hasReasoned
      ? ["the model reasoned, though reasoning was turned off"]
      : []),
  ];
}
