/** What a fake says, in the pieces in which it says it. */
export interface ScriptedReply {
  reasoning?: string[];
  text?: string[];
  /** Arguments given as text are sent as they are; LM Studio alone can send what is no JSON. */
  toolCalls?: { name: string; arguments: Record<string, unknown> | string }[];
  /** Unless told: length where a limit was met, else tool calls where there are some, else stop. */
  finishReason?: "stop" | "length" | "tool_calls";
  promptTokens?: number;
  completionTokens?: number;
  cachedTokens?: number;
  /** A file of test/fixtures/wire/<server>/ whose bytes are sent instead of all this. */
  recording?: string;
}

/** A reply, or how it follows from the body of the request. */
export type Script = ScriptedReply | ((body: Record<string, unknown>) => ScriptedReply);

/** What a fake says unless told. */
export const DEFAULT_REPLY: ScriptedReply = { text: ["Hello", " from", " a", " fake", "."] };

/** What a fake says, request by request. */
export class Replies {
  private always: Script = DEFAULT_REPLY;
  private readonly next: Script[] = [];

  /** Sets what is said from now on. */
  set(script: Script): void {
    this.always = script;
  }

  /** Says this once; several are said in their order. */
  once(script: Script): void {
    this.next.push(script);
  }

  take(body: Record<string, unknown>): ScriptedReply {
    const script = this.next.shift() ?? this.always;
    return typeof script === "function" ? script(body) : script;
  }
}

/** A scripted reply within the limits of a request. */
export interface SpokenReply {
  reasoning: string[];
  text: string[];
  toolCalls: NonNullable<ScriptedReply["toolCalls"]>;
  finishReason: "stop" | "length" | "tool_calls";
  completionTokens: number;
}

/** Ends a reply where the request wants it to end; a piece counts as a token, and so does the end. */
export function spoken(
  script: ScriptedReply,
  { maxTokens, stop = [] }: { maxTokens?: number; stop?: string[] },
): SpokenReply {
  const reasoning = (script.reasoning ?? []).slice(0, maxTokens);
  const whole = untilStop(script.text ?? [], stop);
  const text = whole.slice(0, maxTokens === undefined ? undefined : maxTokens - reasoning.length);
  const wanted = (script.reasoning ?? []).length + whole.length;
  const cut = reasoning.length + text.length < wanted;
  const toolCalls = cut ? [] : (script.toolCalls ?? []);
  const reason = cut ? "length" : toolCalls.length > 0 ? "tool_calls" : "stop";
  return {
    reasoning,
    text,
    toolCalls,
    finishReason: script.finishReason ?? reason,
    completionTokens:
      script.completionTokens ??
      reasoning.length + text.length + 4 * toolCalls.length + (cut ? 0 : 1),
  };
}

function untilStop(pieces: string[], stops: string[]): string[] {
  const text = pieces.join("");
  const ends = stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0);
  let left = Math.min(text.length, ...ends);
  return pieces.flatMap((piece) => {
    const kept = piece.slice(0, left);
    left -= kept.length;
    return kept ? [kept] : [];
  });
}

/** A rough count of tokens: four bytes each, and some for every message. */
export function countTokens(messages: unknown): number {
  const list = Array.isArray(messages) ? messages : [];
  return list.length * 4 + Math.ceil(JSON.stringify(list).length / 4);
}
