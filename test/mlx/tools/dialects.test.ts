import { replyFormat } from "../../../src/mlx/reply/reply-format.js";
import { type ReplyEvent, ReplyReader } from "../../../src/mlx/reply/reply-reader.js";
import { DIALECT_REPLIES, TOOLS } from "./dialect-replies.js";

interface Setting {
  prompt?: string;
  stops?: string[];
}

function open(template: string, { prompt = "", stops = [] }: Setting = {}) {
  const tokenizer = { tokenId: () => undefined };
  const format = replyFormat({ template, prompt, tools: TOOLS, tokenizer });
  const events: ReplyEvent[] = [];
  return { reader: new ReplyReader(format, stops), events };
}

/** What a reply says that comes in pieces. */
function read(template: string, pieces: string[], setting?: Setting) {
  const { reader, events } = open(template, setting);
  for (const piece of pieces) reader.push(piece, events);
  reader.end(events);
  return { ...summary(events), events, hasStopped: reader.hasStopped };
}

function summary(events: ReplyEvent[]) {
  const said = {
    text: "",
    reasoning: "",
    calls: [] as object[],
    deltas: [] as string[],
    ids: [] as string[],
  };
  for (const event of events) {
    if (event.type === "tool-call") {
      const { id, ...call } = event.toolCall;
      said.calls.push(call);
      said.ids.push(id);
    } else if (event.type === "tool-call-delta") {
      said.deltas[event.index] = (said.deltas[event.index] ?? "") + event.argumentsDelta;
    } else said[event.type] += event.text;
  }
  return said;
}

describe.each(DIALECT_REPLIES)("a reply of $family", (golden) => {
  const { template, reply, calls, text = "", reasoning = "", ids } = golden;
  const expected = { text, reasoning, calls };

  test("is read wherever it is cut in two", () => {
    for (let at = 0; at <= reply.length; at++) {
      const said = read(template, [reply.slice(0, at), reply.slice(at)]);
      expect({ at, ...said }).toMatchObject({ at, ...expected });
    }
  });

  test("is read character by character, with the arguments as they come", () => {
    const said = read(template, [...reply]);
    expect(said).toMatchObject(expected);
    expect(said.deltas.map((delta) => JSON.parse(delta))).toEqual(
      calls.map((call) => call.arguments),
    );
    if (ids) expect(said.ids).toEqual(ids);
    expect(new Set(said.ids).size).toBe(calls.length);
  });

  test("never shows more than its text, at any time", () => {
    const { reader, events } = open(template);
    for (const character of reply) {
      reader.push(character, events);
      const said = summary(events);
      expect([text.startsWith(said.text), reasoning.startsWith(said.reasoning)]).toEqual([
        true,
        true,
      ]);
      expect(said.calls).toEqual(calls.slice(0, said.calls.length));
    }
  });
});

describe("what only looks like a call", () => {
  test.each([
    ["<tool_call>", "Use <tool_call> for that."],
    ["<tool_call>", "<tool_call>[1, 2]</tool_call>"],
    ["<tool_call>", '<tool_call>{"title": "x"}</tool_call> and more'],
    ["<tool_call>", "a <function=\nb"],
    ["<tool_call>", "a < b <tool_cal"],
    ["<|python_tag|>", '{"name": "Ada", "parameters": {"born": 1815}}'],
    ["<|python_tag|>", '[{"a": 1}]'],
    ["<|python_tag|>", "[Ada(born=1815)]"],
    ["<|python_tag|>", "  [see above] {x}"],
    ["[TOOL_CALLS]", "Write [TOOL_CALLS] first, then JSON"],
    ["<|tool_call>", "<|tool_call>calling"],
    ["<|tool_calls_section_begin|>", "<|tool_calls_section_begin|> no"],
    ["<｜tool▁calls▁begin｜>", "<｜tool▁calls▁begin｜>no"],
    ["<|tool_call_start|>", "<|tool_call_start|>[1, 2]<|tool_call_end|>"],
    ["<minimax:tool_call>", "<minimax:tool_call> <invoke nothing"],
    ["<think></think>", "Tags such as <think> are text. </think>"],
    ["<think></think>", " \n<thin"],
  ])("%s: %s", (template, reply) => {
    for (let at = 0; at <= reply.length; at++) {
      const said = read(template, [reply.slice(0, at), reply.slice(at)]);
      expect({ at, ...said }).toMatchObject({ at, text: reply, reasoning: "", calls: [] });
    }
  });
});

describe("a malformed call", () => {
  test.each([
    [
      "<tool_call>",
      '<tool_call>{"name": "get_time", "arguments": {"zone": UTC}}</tool_call>',
      '{"zone": UTC}',
    ],
    ["<tool_call>", '<tool_call>{"name": "get_time", "arguments": [1]}</tool_call>', "[1]"],
    [
      "<tool_call>",
      '<tool_call>{"name": "get_time", "arguments": {"zone": 1</tool_call>',
      '{"zone": 1',
    ],
    ["<tool_call>", "<tool_call><function=get_time><parameter=zone>UT", "{zoneUT"],
    ["<tool_call>", "<tool_call>get_time<arg_key>zone</arg_key><arg_value>UT", "{zoneUT"],
    ["<|tool_call_start|>", "<|tool_call_start|>[get_time(zone=U T)]", "{zone=U T"],
    ["<|tool_call>", '<|tool_call>call:get_time{zone:<|"|>UT', "{zone"],
  ])("%s says what was written: %s", (template, reply, invalidArguments) => {
    for (const pieces of [[reply], [...reply]]) {
      const said = read(template, pieces);
      expect(said.calls).toEqual([{ name: "get_time", arguments: {}, invalidArguments }]);
      expect(said.text).toBe("");
    }
  });

  test("with one brace too many, or arguments in quotes, is understood", () => {
    const call =
      '<tool_call>{"name": "get_time", "arguments": "{\\"zone\\": \\"UTC\\"}"}}</tool_call>';
    expect(read("<tool_call>", [...call])).toMatchObject({
      text: "",
      calls: [{ name: "get_time", arguments: { zone: "UTC" } }],
    });
  });

  test("without arguments has none", () => {
    for (const call of ['{"name": "get_time"}', '{"name": "get_time", "arguments": null}']) {
      const said = read("<tool_call>", [`<tool_call>${call}</tool_call>`]);
      expect(said.calls).toEqual([{ name: "get_time", arguments: {} }]);
    }
  });
});

test("text before a call keeps its place, and a stop text in a call means nothing", () => {
  const reply =
    'Stop it.\n\n<tool_call>{"name": "get_time", "arguments": {"zone": "STOP"}}</tool_call>';
  const { events, hasStopped } = read("<tool_call>", [...reply], { stops: ["STOP"] });
  expect(hasStopped).toBe(false);
  expect(events[0]).toEqual({ type: "text", text: "Stop it." });
  expect(events.slice(1).some(({ type }) => type === "text")).toBe(false);
});

test("a long reply takes time that grows with its length only", () => {
  const argument = JSON.stringify({ text: "x".repeat(200_000) });
  const reply = `<tool_call>{"name": "write_note", "arguments": ${argument}}</tool_call>`;
  const start = performance.now();
  const said = read("<tool_call>", reply.match(/[\s\S]{1,4}/g)!);
  expect(said.calls).toEqual([{ name: "write_note", arguments: JSON.parse(argument) }]);
  expect(performance.now() - start).toBeLessThan(5_000);
});

describe("reasoning that the prompt begins", () => {
  const TAGS = "<think></think>";
  test.each([
    ["<|assistant|><think>\n", true],
    ["<|assistant|><think><budget>", true],
    ["<|assistant|><think>\n\n</think>\n\n", false],
    ["<|user|>What does <think> mean?<|end|><|assistant|>\n", false],
    ["<|assistant|>", false],
  ])("%j: %s", (prompt, begins) => {
    const said = read(TAGS, ["Hm", ".</think>", "\n\nYes."], { prompt });
    expect(said).toMatchObject(
      begins ? { reasoning: "Hm.", text: "Yes." } : { reasoning: "", text: "Hm.</think>\n\nYes." },
    );
  });

  test("may be all that there is", () => {
    const said = read(TAGS, ["On and", " on \n"], { prompt: "<think>" });
    expect(said).toMatchObject({ reasoning: "On and on", text: "" });
  });
});
