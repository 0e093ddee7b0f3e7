import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadChatTemplate } from "../../src/mlx/chat-template.js";
import { replyFormat } from "../../src/mlx/reply/reply-format.js";
import { type ReplyEvent, ReplyReader } from "../../src/mlx/reply/reply-reader.js";
import type { Message, ToolCall } from "../../src/types.js";
import { TOOLS } from "./tools/dialect-replies.js";

const folder = mkdtempSync(join(tmpdir(), "mlx-messages-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function templateOf(text: string) {
  writeFileSync(join(folder, "chat_template.jinja"), text);
  return (await loadChatTemplate(folder, Promise.resolve({})))!;
}

const QUESTION: Message = { role: "user", content: "Weather?" };
const CALLS: ToolCall[] = [
  { id: "call_1", name: "get_weather", arguments: { city: "Paris", days: 3 } },
  { id: "call_2", name: "get_time", arguments: { zone: 'a "b"' } },
];
const CHAT: Message[] = [
  QUESTION,
  { role: "assistant", content: "", toolCalls: CALLS, reasoning: "Hm." },
  { role: "tool", toolCallId: "call_1", content: "rain" },
  { role: "tool", toolCallId: "call_2", content: "noon" },
];

/** A template that begins a reply with `<a>`, and writes calls in a way of its own. */
const withCalls = (call: string, rest = "") =>
  "{% for message in messages %}{% if message.role == 'assistant' %}<a>" +
  `{% for call in message.tool_calls %}{% set f = call.function %}${call}{% endfor %}` +
  `{% else %}<${"{{ message.role }}"}>{{ message.content }}${rest}{% endif %}{% endfor %}` +
  "{% if add_generation_prompt %}<a>{% endif %}{# tools #}";

/** The ways of families, in few words. */
const TEMPLATES = {
  "Hermes and Qwen": withCalls(
    '<tool_call>\n{"name": "{{ f.name }}", "arguments": {{ f.arguments | tojson }}}\n</tool_call>\n',
  ),
  GLM: withCalls(
    "\n<tool_call>{{ f.name }}\n{% for k, v in f.arguments.items() %}<arg_key>{{ k }}</arg_key>\n" +
      "<arg_value>{{ v if v is string else v | tojson }}</arg_value>\n{% endfor %}</tool_call>",
  ),
  "Qwen3-Coder": withCalls(
    "<tool_call>\n<function={{ f.name }}>\n{% for k, v in f.arguments | items %}<parameter={{ k }}>\n" +
      "{{ v if v is string else v | tojson }}\n</parameter>\n{% endfor %}</function>\n</tool_call>\n",
  ),
  Mistral: withCalls("[TOOL_CALLS]{{ f.name }}[ARGS]{{ f.arguments | tojson }}"),
  "DeepSeek V3.1": withCalls(
    "{{ '<｜tool▁calls▁begin｜>' if loop.first else '' }}{{ '<｜tool▁call▁begin｜>' + f['name'] + " +
      "'<｜tool▁sep｜>' + f['arguments'] + '<｜tool▁call▁end｜>' }}",
  ),
  "Kimi K2": withCalls(
    "{{ '<|tool_calls_section_begin|>' if loop.first else '' }}<|tool_call_begin|>{{ call.id }}" +
      "<|tool_call_argument_begin|>{{ f.arguments | tojson }}<|tool_call_end|>",
  ),
  LFM2: withCalls(
    "{{ '<|tool_call_start|>[' if loop.first else ', ' }}{{ f.name }}({% for k, v in f.arguments | items %}" +
      "{{ k }}={{ v | tojson }}{{ '' if loop.last else ', ' }}{% endfor %}){{ ']<|tool_call_end|>' if loop.last }}",
  ),
};

describe("calls come back from a reply as they went into a template", () => {
  test.each(Object.entries(TEMPLATES))("%s", async (family, text) => {
    const template = await templateOf(text);
    const ids = family === "Kimi K2" ? ["functions.get_weather:0", "functions.get_time:1"] : [];
    const calls = CALLS.map((call, index) => ({ ...call, id: ids[index] ?? call.id }));
    const prompt = template.render({ messages: [QUESTION], tools: TOOLS });
    const answer: Message = { role: "assistant", content: "", toolCalls: calls };
    const whole = template.render({
      messages: [QUESTION, answer],
      tools: TOOLS,
      addGenerationPrompt: false,
    });
    expect(whole.startsWith(prompt)).toBe(true);
    const tokenizer = { tokenId: () => undefined };
    const format = replyFormat({ template: text, prompt, tools: TOOLS, tokenizer });
    const reader = new ReplyReader(format, []);
    const events: ReplyEvent[] = [];
    for (const character of whole.slice(prompt.length)) reader.push(character, events);
    reader.end(events);
    const said = events.flatMap((event) => (event.type === "tool-call" ? [event.toolCall] : []));
    expect(said.map(({ id: _id, ...rest }) => rest)).toEqual(
      calls.map(({ id: _id, ...rest }) => rest),
    );
    expect(events.filter(({ type }) => type === "text")).toEqual([]);
  });
});

describe("the results of calls", () => {
  test("have the id of their call and the name of its function", async () => {
    const text =
      "{% for m in messages %}{{ m.tool_call_id }} {{ m.name }} {{ m.content }};{% endfor %}";
    const template = await templateOf(text);
    expect(template.render({ messages: CHAT.slice(1) })).toBe(
      "  ;call_1 get_weather rain;call_2 get_time noon;",
    );
  });

  test("belong to the message of the calls where a template reads them there", async () => {
    const text =
      "{% for m in messages %}{{ m.role }}{% for r in m.tool_responses or [] %} {{ r.name }}={{ r.response }}" +
      "{% endfor %};{% endfor %}";
    const template = await templateOf(text);
    expect(template.render({ messages: CHAT })).toBe(
      "user;assistant get_weather=rain get_time=noon;",
    );
    const aware = await templateOf(`${text}{% if messages[0]['role'] == 'tool' %}{% endif %}`);
    expect(aware.render({ messages: CHAT })).toBe("user;assistant;tool;tool;");
  });

  test("have ids of nine letters where a template insists, the same as their calls", async () => {
    const text =
      "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.id }} {% endfor %}{{ m.tool_call_id }} " +
      "{% if m.tool_call_id is defined and m.tool_call_id|length != 9 %}{{ raise_exception('no') }}{% endif %}" +
      "{% endfor %}";
    const ids = (await templateOf(text)).render({ messages: CHAT }).trim().split(/\s+/);
    expect(ids).toEqual([ids[0], ids[1], ids[0], ids[1]]);
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9]{9}$/);
  });
});

test("arguments are a text only where a template adds them to one", async () => {
  const kinds = async (text: string) => {
    const template = await templateOf(`{% for c in messages[1].tool_calls %}${text}{% endfor %}`);
    return template.render({ messages: CHAT.slice(0, 2) });
  };
  expect(await kinds("{{ 'x' + c['function']['arguments'] }}")).toContain('x{"city":"Paris"');
  expect(await kinds("{{ c.function.arguments is mapping }}")).toBe("truetrue");
  expect(await kinds("{{ 'x' + (c.function.arguments | tojson) }}")).toContain('x{"city": "Paris"');
  expect(await kinds("{{ 'x' ~ c.function.arguments | tojson }}")).toContain('x{"city": "Paris"');
});

test("values are written as Python writes them", async () => {
  const given = { a: "it's", b: [1.5, "x\ny", null, true], c: { d: false }, e: null, f: "plain" };
  const text =
    "{% for k, v in messages[0].tool_calls[0].function.arguments.items() %}{{ v | string }};{% endfor %}";
  const toolCalls = [{ id: "1", name: "look", arguments: given }];
  const messages: Message[] = [{ role: "assistant", content: "", toolCalls }];
  // As str() gives them.
  expect((await templateOf(text)).render({ messages })).toBe(
    "it's;[1.5, 'x\\ny', None, True];{'d': False};None;plain;",
  );
});

test("a message with images comes as its parts, without what the images show", async () => {
  const template = await templateOf("{{ messages | tojson }}");
  const content: Message["content"] = [
    { type: "image", image: "data:image/png;base64,AA==" },
    { type: "text", text: "What?" },
  ];
  const parts = [{ type: "image" }, { type: "text", text: "What?" }];
  expect(JSON.parse(template.render({ messages: [{ role: "user", content }] }))).toEqual([
    { role: "user", content: parts },
  ]);
});
