import { TokenLogprobs } from "../src/token-logprobs.js";
import type { StreamEvent, TokenLogprob } from "../src/types.js";

const token = (text: string): TokenLogprob => ({ token: text, logprob: -1, topLogprobs: [] });

test("probabilities are told once, with the last text that came with them", () => {
  const logprobs = new TokenLogprobs();
  expect(logprobs.all).toBeUndefined();
  logprobs.push(token("a"));
  const call = { type: "tool-call", toolCall: { id: "1", name: "look", arguments: {} } } as const;
  const early: StreamEvent[] = [call];
  logprobs.tell(early);
  expect(early).toEqual([call]);
  logprobs.push(token("b"));
  const events: StreamEvent[] = [
    { type: "reasoning", text: "a" },
    { type: "text", text: "b" },
    call,
  ];
  logprobs.tell(events);
  expect(events[0]).not.toHaveProperty("logprobs");
  expect(events[1]).toMatchObject({ logprobs: [token("a"), token("b")] });
  const later: StreamEvent[] = [{ type: "text", text: "" }];
  logprobs.tell(later);
  expect(later).toEqual([{ type: "text", text: "" }]);
  expect(logprobs.all).toHaveLength(2);
});
