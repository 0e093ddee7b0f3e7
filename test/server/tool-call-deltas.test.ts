import type { LLMResponse, StreamEvent } from "../../src/index.js";
import { MessagesReply } from "../../src/server/anthropic/messages-reply.js";
import { ChatReply } from "../../src/server/openai/chat-reply.js";
import { ResponsesReply } from "../../src/server/openai/responses-reply.js";
import { asMessage, OllamaReply } from "../../src/server/ollama/reply.js";
import type { ReplyWriter } from "../../src/server/protocol.js";

const start: StreamEvent = {
  type: "start",
  provider: "mlx",
  model: "m",
  responseId: "1",
  requestId: "1",
  warnings: [],
};
const calls = ["a", "b"].map((id) => ({ id, name: `look_${id}`, arguments: { n: id } }));
/** Pieces of two calls, one after the other, or mixed. */
const deltas = calls.flatMap(({ id, name }, index): StreamEvent[] =>
  ['{"n":', `"${id}"}`].map((argumentsDelta) => ({
    type: "tool-call-delta",
    index,
    id,
    name,
    argumentsDelta,
  })),
);
const whole = calls.map((toolCall): StreamEvent => ({ type: "tool-call", toolCall }));
const response: LLMResponse = {
  content: "",
  model: "m",
  finishReason: "tool_calls",
  responseId: "1",
  requestId: "1",
  provider: "mlx",
  latencyMs: 1,
  usage: {},
  retryCount: 0,
  usedFallback: false,
  toolCalls: calls,
  attempts: [],
  timings: {},
  warnings: [],
};
const finish: StreamEvent = { type: "finish", response };

const ORDERS: [string, StreamEvent[]][] = [
  ["in turn", [...deltas.slice(0, 2), whole[0]!, ...deltas.slice(2), whole[1]!]],
  ["mixed", [deltas[0]!, deltas[2]!, deltas[1]!, deltas[3]!, ...whole]],
  ["whole", whole],
];

/** The JSON of all that a writer tells. */
function told(writer: ReplyWriter, events: StreamEvent[]) {
  const text = [start, ...events, finish].map((event) => writer.event(event)).join("");
  const lines = text.split("\n").map((line) => line.replace(/^data: /, ""));
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

/** Puts pieces of text together by their key. */
function joined(pieces: [number | string, string][]): string[] {
  const texts = new Map<number | string, string>();
  for (const [key, piece] of pieces) texts.set(key, (texts.get(key) ?? "") + piece);
  return [...texts.values()];
}

const EXPECTED = ['{"n":"a"}', '{"n":"b"}'];

describe.each(ORDERS)("calls that come %s", (_, events) => {
  test("are told once as chat completions", () => {
    const pieces = told(new ChatReply(false), events).flatMap(
      ({ choices }) => choices[0].delta.tool_calls ?? [],
    );
    expect(joined(pieces.map((piece) => [piece.index, piece.function.arguments]))).toEqual(
      EXPECTED,
    );
    expect(pieces.flatMap(({ id }) => id ?? [])).toEqual(["a", "b"]);
  });

  test("are told once as messages, each block with its end", () => {
    const all = told(new MessagesReply("1"), events);
    const pieces = all.filter(({ type }) => type === "content_block_delta");
    expect(joined(pieces.map(({ index, delta }) => [index, delta.partial_json]))).toEqual(EXPECTED);
    for (const type of ["content_block_start", "content_block_stop"]) {
      const indexes = all.filter((each) => each.type === type).map(({ index }) => index);
      expect([type, indexes]).toEqual([type, [0, 1]]);
    }
  });

  test("are told once as responses", () => {
    const all = told(new ResponsesReply({ input: "x" }), events);
    const pieces = all.filter(({ type }) => type === "response.function_call_arguments.delta");
    expect(joined(pieces.map(({ item_id, delta }) => [item_id, delta]))).toEqual(EXPECTED);
    expect(all.at(-1).response.output).toMatchObject(
      calls.map(({ id, name }) => ({ type: "function_call", call_id: id, name })),
    );
  });

  test("are told whole to Ollama's clients", () => {
    const messages = told(new OllamaReply("m", asMessage), events).flatMap(
      ({ message }) => message.tool_calls ?? [],
    );
    expect(messages).toEqual(
      calls.map(({ id, name, arguments: given }) => ({ id, function: { name, arguments: given } })),
    );
  });
});
