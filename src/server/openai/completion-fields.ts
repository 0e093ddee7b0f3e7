import * as z from "zod/mini";
import type { LLMRequest } from "../../index.js";
import { allow } from "../../validation.js";
import { anything, given, may } from "../schemas.js";
import { stops } from "./shared-schema.js";

/** What requests for completions of both kinds say of the reply. */
export const completionFields = {
  model: may(allow.text("the name of a model")),
  stream: may(allow.flag()),
  stream_options: may(
    z.strictObject(
      { include_usage: may(allow.flag()), include_obfuscation: anything },
      "an object { include_usage }",
    ),
  ),
  temperature: may(allow.number(0, 2)),
  top_p: may(allow.number(1e-6, 1)),
  top_k: may(allow.whole(0)),
  min_p: may(allow.number(0, 1)),
  max_tokens: may(allow.whole(1)),
  n: may(z.literal(1, "1")),
  stop: may(stops),
  seed: may(allow.whole(0)),
  presence_penalty: may(allow.number(-2, 2)),
  frequency_penalty: may(allow.number(-2, 2)),
  repetition_penalty: may(allow.number(1e-6, 1e6)),
  logit_bias: may(z.record(z.string(), z.number("a number"), "an object { token id: bias }")),
};

type CompletionBody = z.infer<z.ZodMiniObject<typeof completionFields>>;

/** The same in the client's words. */
export function completionOptions(body: CompletionBody): Partial<LLMRequest> {
  const { stop, logit_bias } = body;
  return given({
    model: body.model,
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    minP: body.min_p,
    maxTokens: body.max_tokens,
    stop: stop?.length === 0 ? undefined : stop,
    seed: body.seed,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    repetitionPenalty: body.repetition_penalty,
    logitBias: logit_bias as Record<number, number> | undefined,
  });
}
