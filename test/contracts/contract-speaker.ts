import { makeSpeakingModel } from "../helpers/speaking-model.js";
import { SPOKEN } from "./provider-contract.js";

/** What the model says depends on the last token alone. */
const TEMPLATE =
  "{# <tool_call> tool_call.name <think> #}{% if enable_thinking %}{% endif %}" +
  "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}" +
  "{% if messages[-1].role == 'tool' %}<|read|>{% elif tools %}<|call|>{% else %}<|answer|>{% endif %}";

/** Writes a model that says what the contract of providers wants to hear. */
export function makeContractSpeaker(folder: string): Promise<string> {
  // As models do it: tokens of their own, which stand for text all the same.
  const added = ["<think>", "</think>", "<tool_call>", "</tool_call>"];
  const thoughts = ["<think>", ...SPOKEN.reasoning, "</think>"];
  const json = JSON.stringify(SPOKEN.call).match(/.{1,7}/g)!;
  return makeSpeakingModel(folder, {
    template: TEMPLATE,
    special: ["<|answer|>", "<|call|>", "<|read|>"],
    added,
    scripts: [
      { after: "<|answer|>", pieces: [...thoughts, ...SPOKEN.answer] },
      { after: "<|call|>", pieces: ["<tool_call>", ...json, "</tool_call>"] },
      { after: "<|read|>", pieces: SPOKEN.afterCall },
    ],
  });
}
