import { type Fields, fieldsOf, isObject, parseJson, textOf } from "../fields.js";
import type { StreamEvent, ToolCall } from "../types.js";

/** A call of which more may come. */
interface OpenCall {
  id?: string;
  index: unknown;
  name?: string;
  arguments: string;
  /** Characters of them that were told; -1 while not even the call was. */
  told: number;
}

type Part = Pick<OpenCall, "id" | "index" | "name">;
type CallDelta = Extract<StreamEvent, { type: "tool-call-delta" }>;

/**
 * Puts tool calls together from their fragments. A fragment belongs to the call with its id, or
 * else with its index. LM Studio tells the id only once; others give parallel calls the same index.
 */
export class ToolCallAssembler {
  readonly #calls: OpenCall[] = [];

  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  /** Adds a fragment; gives back what is new of its call, once that has a name. */
  add(fragment: Fields): CallDelta | undefined {
    const { name, arguments: given } = fieldsOf(fragment.function);
    const part = { id: textOf(fragment.id), index: fragment.index, name: textOf(name) };
    const call = this.#callOf(part) ?? this.#open(part);
    call.id ??= part.id;
    call.name ??= part.name;
    if (typeof given === "string") call.arguments += given;
    else if (isObject(given)) call.arguments += JSON.stringify(given);
    return this.#deltaOf(call);
  }

  /** The calls in the order in which they began; a call without a name has `name: ""`. */
  calls(): ToolCall[] {
    return this.#calls.map((call) => {
      const { name = "", arguments: text } = call;
      const id = idOf(call);
      const parsed = text.trim() === "" ? {} : parseJson(text);
      if (isObject(parsed)) return { id, name, arguments: parsed };
      return { id, name, arguments: {}, invalidArguments: text };
    });
  }

  #deltaOf(call: OpenCall): CallDelta | undefined {
    const { name, arguments: text, told } = call;
    if (name === undefined || told === text.length) return undefined;
    call.told = text.length;
    const index = this.#calls.indexOf(call);
    const argumentsDelta = text.slice(Math.max(told, 0));
    return { type: "tool-call-delta", index, id: idOf(call), name, argumentsDelta };
  }

  #open(part: Part): OpenCall {
    const call = { ...part, arguments: "", told: -1 };
    this.#calls.push(call);
    return call;
  }

  #callOf({ id, index, name }: Part): OpenCall | undefined {
    const same = id !== undefined && this.#calls.find((call) => call.id === id);
    if (same) return same;
    const last = this.#calls.findLast((call) => index === undefined || call.index === index);
    if (last === undefined || name === undefined) return last;
    // A name begins a call, unless that call has none yet, or repeats its own before its end.
    if (last.name === undefined) return last;
    const isRepeated =
      id === undefined && last.name === name && !isObject(parseJson(last.arguments));
    return isRepeated ? last : undefined;
  }
}

/** Its id, which is its own where the server tells none. */
function idOf(call: OpenCall): string {
  call.id ??= `call_${crypto.randomUUID()}`;
  return call.id;
}
