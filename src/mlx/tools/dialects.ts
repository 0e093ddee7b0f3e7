import { DEEPSEEK } from "./deepseek.js";
import type { ToolDialect } from "./dialect.js";
import { GEMMA } from "./gemma.js";
import { INVOKE_TAGS } from "./invoke-tag.js";
import { JSON_FRAMES } from "./json-frames.js";
import { KIMI } from "./kimi.js";
import { LLAMA } from "./llama.js";
import { MISTRAL } from "./mistral.js";
import { PYTHONIC } from "./pythonic.js";
import { TOOL_CALL_TAGS } from "./tool-call-tag.js";

/** What is most particular comes first. */
const DIALECTS: ToolDialect[] = [
  ...INVOKE_TAGS,
  ...GEMMA,
  ...PYTHONIC,
  KIMI,
  DEEPSEEK,
  ...TOOL_CALL_TAGS,
  ...JSON_FRAMES,
  MISTRAL,
  LLAMA,
];

/** The dialect that a chat template teaches; undefined where it teaches none that is known. */
export function dialectOf(template: string): ToolDialect | undefined {
  return DIALECTS.find(({ isTaughtBy }) => isTaughtBy(template));
}
