import type { Reading } from "../reply/incoming.js";
import { coerce, parameterOf } from "./coerce.js";
import type { OfferedTools } from "./dialect.js";

/** Writes the arguments of a call as JSON, each as soon as it is known. */
export class ArgumentWriter {
  readonly #tools: OfferedTools;
  readonly #name: string;
  #isEmpty = true;

  constructor(tools: OfferedTools, name: string) {
    this.#tools = tools;
    this.#name = name;
  }

  /** A value that is written as a bare text. */
  *addText(key: string, text: string): Reading {
    yield* this.add(key, coerce(text, parameterOf(this.#tools, this.#name, key)));
  }

  *add(key: string, value: unknown): Reading {
    const separator = this.#isEmpty ? "{" : ",";
    this.#isEmpty = false;
    const text = `${separator}${JSON.stringify(key)}:${JSON.stringify(value)}`;
    yield { type: "arguments", text };
  }

  *end(): Reading {
    yield { type: "arguments", text: this.#isEmpty ? "{}" : "}" };
    yield { type: "call-end" };
  }

  /** Ends a call that breaks off: without its end it is no JSON, and shown as it is. */
  *breakOff(rest: string): Reading {
    yield { type: "arguments", text: `${this.#isEmpty ? "{" : ","}${rest}` };
    yield { type: "call-end" };
  }
}
