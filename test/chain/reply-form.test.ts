import type { ProviderEvent } from "../../src/providers/provider.js";
import { chainOf, eventsOf, failureOf, newCall, storyOf, wholeOf } from "../helpers/chain-calls.js";
import {
  type Act,
  FINISH,
  reply,
  ScriptedProvider,
  START,
  text,
} from "../helpers/scripted-provider.js";

const schema = { type: "object", required: ["name"] };
const request = { messages: "Hi", responseFormat: { type: "json_schema" as const, schema } };
const GOOD = reply('{"name": "Ada"}');
const BAD = reply('{"age": 36}');

function provider(scripts: Act[][]) {
  const capabilities = new Set(["responseFormat"] as const);
  return new ScriptedProvider(scripts, { defaultModel: "a", capabilities });
}

describe("a reply without the form that was asked for", () => {
  test("is asked for again", async () => {
    const call = newCall(request);
    const { content, retryCount } = await wholeOf(chainOf([provider([BAD, GOOD])]), call);
    expect([content, retryCount]).toEqual(['{"name": "Ada"}', 1]);
    expect(storyOf(call.attempts)[0]).toContain("schema_mismatch");
  });

  test("is asked of the next provider", async () => {
    const chain = chainOf([provider([BAD]), provider([GOOD])]);
    const { content, usedFallback } = await wholeOf(chain, newCall(request));
    expect([content, usedFallback]).toEqual(['{"name": "Ada"}', true]);
  });

  test("fails in the end, with what was said", async () => {
    const failure = await failureOf(wholeOf(chainOf([provider([BAD])]), newCall(request)));
    expect(failure).toMatchObject({ code: "schema_mismatch", partial: '{"age": 36}' });
    expect(failure.attempts!.length).toBeGreaterThan(1);
  });

  test("is left as it is where it was cut, or calls tools", async () => {
    for (const finishReason of ["length", "tool_calls"] as const) {
      const end = { ...FINISH, finishReason } as ProviderEvent;
      const cut = provider([[[START, text('{"na'), end]]]);
      const { content } = await wholeOf(chainOf([cut]), newCall(request));
      expect(content).toBe('{"na');
    }
  });

  test("fails at the end of a stream", async () => {
    const stream = await chainOf([provider([BAD])]).open(newCall(request));
    const failure = await failureOf(eventsOf(stream));
    expect(failure).toMatchObject({
      name: "GenerationError",
      code: "schema_mismatch",
      partial: '{"age": 36}',
    });
  });
});

test("a schema that is none is told before anybody is asked", async () => {
  const asked = provider([GOOD]);
  const wrong = {
    ...request,
    responseFormat: { type: "json_schema" as const, schema: { type: 3 } },
  };
  const failure = await failureOf(wholeOf(chainOf([asked]), newCall(wrong)));
  expect(failure).toMatchObject({ name: "ValidationError", code: "validation" });
  expect(asked.asked).toHaveLength(0);
});
