import { type Fields, fieldsOf, isObject, parseJson, textOf } from "../fields.js";
import type { ToolCall } from "../types.js";

/** A call of which more may come. */
interface OpenCall {
  id?: string;
  index: unknown;
  name?: string;
  arguments: string;
}

/**
 * Puts tool calls together from their fragments. A fragment belongs to the call with its id, or
 * else with its index. LM Studio tells the id only once; others give parallel calls the same index.
 */
export class ToolCallAssembler {
  readonly #calls: OpenCall[] = [];

  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  add(fragment: Fields): void {
    const { name, arguments: given } = fieldsOf(fragment.function);
    const part = { id: textOf(fragment.id), index: fragment.index, name: textOf(name) };
    const call = this.#callOf(part) ?? this.#open(part);
    call.id ??= part.id;
    call.name ??= part.name;
    if (typeof given === "string") call.arguments += given;
    else if (isObject(given)) call.arguments += JSON.stringify(given);
  }

  /** The calls in the order in which they began; a call without a name has `name: ""`. */
  calls(): ToolCall[] {
    return this.#calls.map(({ id = `call_${crypto.randomUUID()}`, name = "", arguments: text }) => {
      const parsed = text.trim() === "" ? {} : parseJson(text);
      if (isObject(parsed)) return { id, name, arguments: parsed };
      return { id, name, arguments: {}, invalidArguments: text };
    });
  }

  #open({ id, index, name }: Omit<OpenCall, "arguments">): OpenCall {
    const call = { id, index, name, arguments: "" };
    this.#calls.push(call);
    return call;
  }

  #callOf({ id, index, name }: Omit<OpenCall, "arguments">): OpenCall | undefined {
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
