import { GenerationError, ModelNotFoundError, ProtocolError } from "../../src/index.js";
import { call, MANNERS, tellingClient } from "../helpers/client-calls.js";
import { streamFaults } from "../servers/faults/streams.js";
import { KINDS } from "../servers/kinds.js";
import { answers, breaksOff, fails, HELLO, onceStarted, type Table } from "./cells.js";
import { describeFaults } from "./matrix.js";

jest.setTimeout(120_000);

const toolCalls = [
  { name: "add", arguments: { a: 1 } },
  { name: "add", arguments: { a: 2 } },
];
const bothCalls = answers({
  says: "",
  script: { toolCalls },
  response: {
    finishReason: "tool_calls",
    toolCalls: toolCalls.map((each) => ({ ...each, id: expect.any(String) })),
  },
});
const SPELLED = "Gr\u00FC\u00DFe \u{1F426}";
const UNTOLD = "the server did not tell why the reply ended";
const UNKNOWN = expect.not.objectContaining({ completionTokens: expect.anything() });

const table: Table<typeof streamFaults> = {
  "error-event": onceStarted({
    "first-content": {
      // It hides such errors under this address.
      ollamaOpenAI: fails(ProtocolError, "empty_response"),
      others: fails(GenerationError, "server_error", { retries: 2 }),
    },
    "mid-stream": {
      ollamaOpenAI: breaksOff("Hello", "stream_truncated"),
      others: breaksOff("Hello", "server_error"),
    },
    end: {
      ollamaOpenAI: breaksOff(HELLO, "stream_truncated"),
      others: breaksOff(HELLO, "server_error"),
    },
  }),
  garbage: onceStarted({
    "first-content": fails(ProtocolError, "protocol"),
    "mid-stream": breaksOff("Hello", "protocol"),
    end: breaksOff(HELLO, "protocol"),
  }),
  "zero-deltas": {
    whole: {
      ollama: fails(ProtocolError, "stream_truncated"),
      others: fails(ProtocolError, "empty_response"),
    },
  },
  // The count of tokens tells that there was one: the end of the reply.
  "empty-finish": { whole: answers({ says: "", response: { finishReason: "stop" } }) },
  "finish-without-done": { whole: answers({ response: { finishReason: "stop", warnings: [] } }) },
  "done-without-finish": {
    whole: {
      ollama: breaksOff(HELLO, "stream_truncated"),
      others: answers({ response: { finishReason: "other", warnings: [UNTOLD] } }),
    },
  },
  "no-usage": { whole: answers({ response: { usage: UNKNOWN } }) },
  "late-usage": {
    whole: answers({
      settings: { ms: 60 },
      response: { usage: { completionTokens: 6 } },
    }),
  },
  "other-model": { whole: fails(ModelNotFoundError, "model_mismatch") },
  "tool-index-zero": { whole: bothCalls },
  "tool-ids-missing": { whole: bothCalls },
  "split-bytes": { whole: answers({ says: SPELLED, script: { text: [SPELLED] } }) },
  crlf: { whole: answers() },
  cr: { whole: answers() },
  bom: { whole: answers() },
  comments: { whole: answers() },
  "no-space": { whole: answers() },
};

describeFaults(streamFaults, table);

test("a count of tokens that does not come in time does not spoil the reply", async () => {
  const fake = await KINDS.lmStudio.start();
  fake.fault("late-usage", { ms: 10_000 });
  const { client } = tellingClient({ ...KINDS.lmStudio.leg(fake), timeout: 1 });
  for (const manner of MANNERS) {
    const { response } = await call(client, manner, { messages: "hi" });
    expect(response).toMatchObject({ content: HELLO, finishReason: "stop", usage: UNKNOWN });
  }
  await client.close();
  await fake.close();
});
