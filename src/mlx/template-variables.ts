import type { CheckedRequest } from "../request.js";

/** What a request sets in a chat template, and what of it the template does not know. */
export interface TemplateVariables {
  variables: Record<string, unknown>;
  warnings: string[];
}

/** Turns how hard a model is to think into the variables that its chat template reads. */
export function reasoningVariables(
  template: string,
  { reasoning, reasoningBudget }: Pick<CheckedRequest, "reasoning" | "reasoningBudget">,
): TemplateVariables {
  const variables: Record<string, unknown> = {};
  const warnings: string[] = [];
  if (reasoning === undefined && reasoningBudget === undefined) return { variables, warnings };
  const isOn = reasoning !== false;
  const switches = ["enable_thinking", "thinking"].filter((name) => reads(template, name));
  for (const name of switches) variables[name] = isOn;
  if (reasoningBudget !== undefined && reads(template, "thinking_budget")) {
    variables.thinking_budget = reasoningBudget;
  }
  // Who only bounds it has not asked how hard it is to be.
  if (reasoning === undefined) return { variables, warnings };
  const effort = effortIn(template, reasoning);
  const isGraded = reads(template, "reasoning_effort");
  if (isGraded && effort !== undefined) variables.reasoning_effort = effort;
  if (!isOn && !isGraded && reads(template, "thinking_budget")) variables.thinking_budget = 0;
  if (Object.keys(variables).length === 0) {
    const wish = isOn ? "on" : "off";
    warnings.push(`reasoning was left out: the model's chat template cannot turn it ${wish}`);
  } else if (typeof reasoning === "string" && !isGraded) {
    warnings.push(`reasoning is on, but the model's chat template knows no degrees of it`);
  }
  return { variables, warnings };
}

/** The degree to ask for; undefined where the template has none that fits. */
function effortIn(template: string, reasoning: boolean | string): string | undefined {
  if (typeof reasoning === "string") return reasoning;
  const names = reasoning ? ["medium", "high"] : ["none"];
  return names.find((name) => new RegExp(`["']${name}["']`).test(template));
}

/** Whether a template reads a variable of this name: a field, a text or a sentence does not count. */
function reads(template: string, name: string): boolean {
  const code = (template.match(/\{[%{][\s\S]*?[%}]\}/g) ?? [])
    .join(" ")
    .replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, "''");
  return new RegExp(`(?<![\\w.])${name}\\b`).test(code);
}
