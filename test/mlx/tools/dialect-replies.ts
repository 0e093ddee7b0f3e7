import type { Tool, ToolCall } from "../../../src/types.js";

/** What a call says, without its id. */
export type Said = Omit<ToolCall, "id">;

/** A reply in a dialect, as the chat templates of its families write it. */
export interface DialectReply {
  family: string;
  /** What of the family's chat template tells the dialect. */
  template: string;
  reply: string;
  /** Its marks that are tokens which stand for no text. */
  special?: string[];
  calls: Said[];
  text?: string;
  reasoning?: string;
  /** Ids that the reply gives. */
  ids?: string[];
}

const tool = (name: string, properties: Record<string, unknown>): Tool => ({
  type: "function",
  function: { name, parameters: { type: "object", properties } },
});

/** The tools that are called. */
export const TOOLS = [
  tool("get_weather", { city: { type: "string" }, days: { type: "integer" } }),
  tool("get_time", { zone: { type: "string" } }),
  tool("write_note", {
    text: { type: "string" },
    tags: { type: "array" },
    draft: { type: "boolean" },
    meta: { type: "object" },
  }),
];

const WEATHER: Said = { name: "get_weather", arguments: { city: "Paris", days: 3 } };
const TIME: Said = { name: "get_time", arguments: { zone: 'a "b" {c}, <d>' } };
const NOTE: Said = {
  name: "write_note",
  arguments: { text: "1\n2", tags: ["x", "y"], draft: true, meta: { a: null, b: 1.5 } },
};
const CALLS = [WEATHER, TIME];

export const DIALECT_REPLIES: DialectReply[] = [
  {
    family: "Hermes and Qwen",
    template: "<tool_call>\n{{ tools }}",
    reply:
      'I look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n</tool_call>\n' +
      '<tool_call>\n{"name": "get_time", "arguments": {"zone": "a \\"b\\" {c}, <d>"}}\n</tool_call>',
    calls: CALLS,
    text: "I look.",
  },
  {
    family: "Qwen with thoughts",
    template: "<think></think><tool_call>\n{{ tools }}",
    reply:
      "<think>\nMaybe <tool_call> helps.\n</think>\n\n<tool_call>\n" +
      '{"arguments": {"city": "Paris", "days": 3}, "name": "get_weather"}\n</tool_call>',
    calls: [WEATHER],
    reasoning: "Maybe <tool_call> helps.",
  },
  {
    family: "Qwen3-Coder",
    template: "<tool_call>\n<function={{ tools }}",
    reply:
      "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n" +
      "</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=write_note>\n<parameter=text>\n1\n2\n" +
      '</parameter>\n<parameter=tags>\n["x", "y"]\n</parameter>\n<parameter=draft>\nTrue\n</parameter>\n' +
      '<parameter=meta>\n{"a": null, "b": 1.5}\n</parameter>\n</function>\n</tool_call>',
    calls: [WEATHER, NOTE],
  },
  {
    family: "Qwen3-Coder without the outer tag",
    template: "<tool_call>\n<function={{ tools }}",
    reply:
      'Yes.\n<function=get_time>\n<parameter=zone>\na "b" {c}, <d>\n</parameter>\n</function>\n</tool_call>',
    calls: [TIME],
    text: "Yes.",
  },
  {
    family: "Seed-OSS",
    template: "{{ '<seed:think>' }}<seed:tool_call>{{ tools }}",
    reply:
      "<seed:think>Hm.</seed:think>\n<seed:tool_call>\n<function=get_weather>\n<parameter=city>Paris</parameter>\n" +
      "<parameter=days>3</parameter>\n</function>\n</seed:tool_call>",
    special: ["<seed:think>", "</seed:think>", "<seed:tool_call>", "</seed:tool_call>"],
    calls: [WEATHER],
    reasoning: "Hm.",
  },
  {
    family: "GLM",
    template: "<think></think><tool_call>{{ tools }}<arg_key>",
    reply:
      "\n<think>It rains.</think>\nLet me see.\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n" +
      "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>\n<tool_call>get_time\n<arg_key>zone</arg_key>\n" +
      '<arg_value>a "b" {c}, <d></arg_value>\n</tool_call>',
    special: ["<think>", "</think>", "<tool_call>", "</tool_call>"],
    calls: CALLS,
    text: "Let me see.",
    reasoning: "It rains.",
  },
  {
    family: "Hunyuan",
    template: "<tool_calls><tool_call>{{ tools }}",
    reply: '<tool_call>get_weather\n```json\n{"city": "Paris", "days": 3}\n```\n</tool_call>',
    calls: [WEATHER],
  },
  {
    family: "LongCat",
    template: "<longcat_tool_call>{{ tools }}",
    reply:
      "<longcat_tool_call>get_weather\n<longcat_arg_key>city</longcat_arg_key>\n<longcat_arg_value>Paris</longcat_arg_value>\n" +
      "<longcat_arg_key>days</longcat_arg_key>\n<longcat_arg_value>3</longcat_arg_value>\n</longcat_tool_call>",
    calls: [WEATHER],
  },
  {
    family: "Llama 3",
    template: "<|python_tag|>{{ tools }}",
    reply:
      '{"name": "get_weather", "parameters": {"city": "Paris", "days": 3}}; ' +
      '{"name": "get_time", "parameters": {"zone": "a \\"b\\" {c}, <d>"}}',
    calls: CALLS,
  },
  {
    family: "Llama 3 with its tag",
    template: "<|python_tag|>{{ tools }}",
    reply: '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris", "days": 3}}',
    special: ["<|python_tag|>"],
    calls: [WEATHER],
  },
  {
    family: "Llama 4",
    template: "<|python_start|>{{ tools }}",
    reply:
      "<|python_start|>[get_weather(city='Paris', days=3), write_note(text=\"1\\n2\", tags=['x', 'y'], draft=True, " +
      "meta={'a': None, 'b': 1.5})]<|python_end|>",
    special: ["<|python_start|>", "<|python_end|>"],
    calls: [WEATHER, NOTE],
  },
  {
    family: "Mistral",
    template: "[TOOL_CALLS]{{ tools }}",
    reply:
      'Fine.[TOOL_CALLS]get_weather[ARGS]{"city": "Paris", "days": 3}' +
      '[TOOL_CALLS]get_time[CALL_ID]abcdefghi[ARGS]{"zone": "a \\"b\\" {c}, <d>"}',
    special: ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"],
    calls: CALLS,
    text: "Fine.",
  },
  {
    family: "Mistral v3",
    template: "[TOOL_CALLS]{{ tools }}",
    reply:
      '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}, "id": "abcdefghi"}, ' +
      '{"name": "get_time", "arguments": {"zone": "a \\"b\\" {c}, <d>"}, "id": "jklmnopqr"}]',
    special: ["[TOOL_CALLS]"],
    calls: CALLS,
  },
  {
    family: "Magistral",
    template: "[THINK][/THINK][TOOL_CALLS]{{ tools }}",
    reply: '[THINK]Well.[/THINK]So[TOOL_CALLS]get_weather{"city": "Paris", "days": 3}',
    special: ["[THINK]", "[/THINK]", "[TOOL_CALLS]"],
    calls: [WEATHER],
    text: "So",
    reasoning: "Well.",
  },
  {
    family: "Gemma 4",
    template: "<|channel>thought<channel|><|tool_call>{{ tools }}",
    reply:
      '<|channel>thought\nRain?<channel|><|tool_call>call:get_weather{city:<|"|>Paris<|"|>,days:3}<tool_call|>' +
      '<|tool_call>call:write_note{draft:true,meta:{a:null,b:1.5},tags:[<|"|>x<|"|>,<|"|>y<|"|>],text:<|"|>1\n2<|"|>}<tool_call|>',
    special: ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", '<|"|>'],
    calls: [WEATHER, NOTE],
    reasoning: "Rain?",
  },
  {
    family: "FunctionGemma",
    template: "<start_function_call>{{ tools }}",
    reply:
      "<start_function_call>call:get_weather{city:<escape>Paris<escape>,days:3}<end_function_call>",
    special: ["<start_function_call>", "<end_function_call>", "<escape>"],
    calls: [WEATHER],
  },
  {
    family: "gpt-oss",
    template: "<|channel|><|message|>{{ tools }}",
    reply:
      "<|channel|>analysis<|message|>We need it.<|end|><|start|>assistant<|channel|>commentary<|message|>I look." +
      "<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>" +
      '{"city": "Paris", "days": 3}',
    special: ["<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|constrain|>"],
    calls: [WEATHER],
    text: "I look.",
    reasoning: "We need it.",
  },
  {
    family: "gpt-oss with the recipient first",
    template: "<|channel|><|message|>{{ tools }}",
    reply:
      ' to=functions.get_time<|channel|>commentary json<|message|>{"zone":"a \\"b\\" {c}, <d>"}',
    special: ["<|channel|>", "<|message|>"],
    calls: [TIME],
  },
  {
    family: "DeepSeek V3",
    template: "<｜tool▁calls▁begin｜>{{ tools }}",
    reply:
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n" +
      '{"city": "Paris", "days": 3}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n' +
      '```json\n{"zone": "a \\"b\\" {c}, <d>"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    special: [
      "<｜tool▁calls▁begin｜>",
      "<｜tool▁call▁begin｜>",
      "<｜tool▁sep｜>",
      "<｜tool▁call▁end｜>",
      "<｜tool▁calls▁end｜>",
    ],
    calls: CALLS,
  },
  {
    family: "DeepSeek V3.1",
    template: "<｜tool▁calls▁begin｜>{{ tools }}",
    reply:
      'Sure.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris", "days": 3}' +
      '<｜tool▁call▁end｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>{"zone": "a \\"b\\" {c}, <d>"}' +
      "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    special: [
      "<｜tool▁calls▁begin｜>",
      "<｜tool▁call▁begin｜>",
      "<｜tool▁sep｜>",
      "<｜tool▁call▁end｜>",
      "<｜tool▁calls▁end｜>",
    ],
    calls: CALLS,
    text: "Sure.",
  },
  {
    family: "DeepSeek V3.2",
    template: "<｜DSML｜function_calls>{{ tools }}",
    reply:
      '<｜DSML｜function_calls>\n<｜DSML｜invoke name="get_weather">\n<｜DSML｜parameter name="city" string="true">Paris' +
      '</｜DSML｜parameter>\n<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>\n</｜DSML｜invoke>\n' +
      "</｜DSML｜function_calls>",
    special: ["｜DSML｜"],
    calls: [WEATHER],
  },
  {
    family: "Kimi K2",
    template: "<|tool_calls_section_begin|>{{ tools }}",
    reply:
      "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>" +
      '{"city": "Paris", "days": 3}<|tool_call_end|><|tool_call_begin|>functions.get_time:1' +
      '<|tool_call_argument_begin|>{"zone": "a \\"b\\" {c}, <d>"}<|tool_call_end|><|tool_calls_section_end|>',
    special: [
      "<|tool_calls_section_begin|>",
      "<|tool_call_begin|>",
      "<|tool_call_argument_begin|>",
    ],
    calls: CALLS,
    ids: ["functions.get_weather:0", "functions.get_time:1"],
  },
  {
    family: "LFM2",
    template: "<|tool_call_start|>{{ tools }}",
    reply:
      "<|tool_call_start|>[get_weather(city='Paris', days=3), get_time(zone='a \"b\" {c}, <d>')]<|tool_call_end|>Checking.",
    special: ["<|tool_call_start|>", "<|tool_call_end|>"],
    calls: CALLS,
    text: "Checking.",
  },
  {
    family: "LFM2 in JSON",
    template: "<|tool_call_start|>{{ tools }}",
    reply:
      '<|tool_call_start|>[{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}]<|tool_call_end|>',
    special: ["<|tool_call_start|>", "<|tool_call_end|>"],
    calls: [WEATHER],
  },
  {
    family: "Olmo 3",
    template: "<function_calls>{{ tools }}",
    reply:
      '<function_calls>\nget_weather(city="Paris", days=3)\nget_time(zone="a \\"b\\" {c}, <d>")\n</function_calls>',
    calls: CALLS,
  },
  {
    family: "MiniMax M2",
    template: "<think><minimax:tool_call>{{ tools }}",
    reply:
      '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n<parameter name="days">3' +
      '</parameter>\n</invoke>\n<invoke name="get_time">\n<parameter name="zone">a "b" {c}, <d></parameter>\n</invoke>\n' +
      "</minimax:tool_call>",
    special: ["<minimax:tool_call>", "</minimax:tool_call>"],
    calls: CALLS,
  },
  {
    family: "Phi 4 and Granite",
    template: "<|tool_call|>{{ tools }}",
    reply:
      '<|tool_call|>[{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}]<|/tool_call|>',
    special: ["<|tool_call|>", "<|/tool_call|>"],
    calls: [WEATHER],
  },
  {
    family: "Nemotron",
    template: "<TOOLCALL>{{ tools }}",
    reply:
      '<TOOLCALL>[{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}]</TOOLCALL>',
    calls: [WEATHER],
  },
  {
    family: "Command",
    template: "<|START_THINKING|><|START_ACTION|>{{ tools }}",
    reply:
      "<|START_THINKING|>I will.<|END_THINKING|><|START_ACTION|>[\n" +
      '    {"tool_call_id": "0", "tool_name": "get_weather", "parameters": {"city": "Paris", "days": 3}},\n' +
      '    {"tool_call_id": "1", "tool_name": "get_time", "parameters": {"zone": "a \\"b\\" {c}, <d>"}}\n]<|END_ACTION|>',
    special: ["<|START_THINKING|>", "<|END_THINKING|>", "<|START_ACTION|>", "<|END_ACTION|>"],
    calls: CALLS,
    reasoning: "I will.",
    ids: ["0", "1"],
  },
];
