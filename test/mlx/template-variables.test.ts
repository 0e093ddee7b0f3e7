import { reasoningVariables } from "../../src/mlx/template-variables.js";

const variablesOf = (template: string, reasoning: boolean | "low" | "medium" | "high") =>
  reasoningVariables(template, { reasoning });

const QWEN = "{%- if enable_thinking is defined and not enable_thinking %}</think>{% endif %}";
const GPT_OSS =
  '{%- if reasoning_effort is not defined %}{% set reasoning_effort = "medium" %}{% endif %}';
const MISTRAL = "{% if reasoning_effort not in ['none', 'high'] %}{% endif %}";

test.each([
  [QWEN, true, { enable_thinking: true }],
  [QWEN, false, { enable_thinking: false }],
  ["{% if not thinking is defined %}{% endif %}", false, { thinking: false }],
  [GPT_OSS, "low", { reasoning_effort: "low" }],
  [GPT_OSS, true, { reasoning_effort: "medium" }],
  [MISTRAL, true, { reasoning_effort: "high" }],
  [MISTRAL, false, { reasoning_effort: "none" }],
  ["{% if thinking_budget == 0 %}{% endif %}", false, { thinking_budget: 0 }],
] as const)("%s is told of %j", (template, reasoning, variables) => {
  expect(variablesOf(template, reasoning)).toEqual({ variables, warnings: [] });
});

test.each([
  ["{{ message.thinking }}{{ message['thinking'] }} thinking {{ 'thinking' }}", true, "on"],
  ["{{ messages }}", false, "off"],
  [GPT_OSS, false, "off"],
] as const)("%s cannot turn it as asked", (template, reasoning, way) => {
  expect(variablesOf(template, reasoning)).toEqual({
    variables: {},
    warnings: [`reasoning was left out: the model's chat template cannot turn it ${way}`],
  });
});

test("a degree where there are none is said", () => {
  expect(variablesOf(QWEN, "high")).toEqual({
    variables: { enable_thinking: true },
    warnings: ["reasoning is on, but the model's chat template knows no degrees of it"],
  });
});

test("a budget is told to templates that know one", () => {
  const template = "{{ thinking_budget }}";
  expect(reasoningVariables(template, { reasoningBudget: 512 })).toEqual({
    variables: { thinking_budget: 512 },
    warnings: [],
  });
  expect(reasoningVariables(QWEN, { reasoningBudget: 512 })).toEqual({
    variables: { enable_thinking: true },
    warnings: [],
  });
  expect(reasoningVariables("", { reasoningBudget: 512 })).toEqual({ variables: {}, warnings: [] });
});
