import { isObject, parseJson } from "../../fields.js";
import type { StreamEvent, ToolCall } from "../../types.js";
import type { Piece } from "./incoming.js";
import type { ReplyFormat } from "./reply-format.js";

type CallEvent = Extract<StreamEvent, { type: "tool-call" | "tool-call-delta" }>;
type CallPiece = Exclude<Piece, { type: "text" | "reasoning" }>;

/** Gives the calls of a reply their ids, and puts their arguments together. */
export class ToolCalls {
  count = 0;
  readonly #newId: (name: string, index: number) => string;
  #open: { index: number; id: string; name: string; written: string } | undefined;

  constructor(newId: ReplyFormat["newId"] = () => `call_${crypto.randomUUID()}`) {
    this.#newId = newId;
  }

  /** The events of a piece of a call. */
  read(piece: CallPiece): CallEvent[] {
    if (piece.type === "call") return [this.#begin(piece)];
    const call = this.#open;
    if (!call) return [];
    if (piece.type === "call-end") return [this.#end()!];
    call.written += piece.text;
    const { index, id, name } = call;
    return [{ type: "tool-call-delta", index, id, name, argumentsDelta: piece.text }];
  }

  /** The call that the reply broke off in. */
  flush(): CallEvent[] {
    return this.#open ? [this.#end()!] : [];
  }

  #begin({
    name,
    id = this.#newId(name, this.count),
  }: Extract<Piece, { type: "call" }>): CallEvent {
    const index = this.count++;
    this.#open = { index, id, name, written: "" };
    return { type: "tool-call-delta", index, id, name, argumentsDelta: "" };
  }

  #end(): CallEvent | undefined {
    const { id, name, written } = this.#open!;
    this.#open = undefined;
    return { type: "tool-call", toolCall: { id, name, ...readArguments(written) } };
  }
}

/** What a model wrote as the arguments of a call; nothing at all stands for none. */
export function readArguments(written: string): Pick<ToolCall, "arguments" | "invalidArguments"> {
  const text = written.trim();
  const parsed = text === "" || text === "null" ? {} : parseJson(text);
  if (isObject(parsed)) return { arguments: parsed };
  return { arguments: {}, invalidArguments: written };
}
