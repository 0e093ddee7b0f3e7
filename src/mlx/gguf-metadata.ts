import { badGguf, type GgufHeader, type GgufList, type GgufValue } from "./gguf.js";

/** The values in the header of a GGUF file, by name; each is checked to be what is wanted. */
export class GgufMetadata {
  readonly file: string;
  readonly #values: Map<string, GgufValue>;

  constructor({ file, metadata }: GgufHeader) {
    this.file = file;
    this.#values = metadata;
  }

  /** The names that begin with a prefix. */
  names(prefix: string): string[] {
    return [...this.#values.keys()].filter((name) => name.startsWith(prefix));
  }

  text(name: string): string | undefined {
    return this.#get(name, "a text", (value) => (typeof value === "string" ? value : undefined));
  }

  flag(name: string): boolean | undefined {
    return this.#get(name, "a yes or no", (value) =>
      typeof value === "boolean" ? value : undefined,
    );
  }

  /** Headers keep numbers in 32 bits: what these do not tell is left out. */
  number(name: string): number | undefined {
    return this.#get(name, "a number", (value) =>
      typeof value === "number" && Number.isFinite(value)
        ? Number(value.toPrecision(Number.isInteger(value) ? 16 : 7))
        : undefined,
    );
  }

  strings(name: string): string[] | undefined {
    return this.#get(name, "a list of texts", (value) =>
      isList(value) ? value.strings() : undefined,
    );
  }

  numbers(name: string): number[] | undefined {
    return this.#get(name, "a list of numbers", (value) =>
      isList(value) ? value.numbers() : undefined,
    );
  }

  /** The value under a name that must be there. */
  need<T>(value: T | undefined, name: string): T {
    if (value === undefined) throw badGguf(this.file, `lacks "${name}"`);
    return value;
  }

  #get<T>(name: string, wanted: string, read: (value: GgufValue) => T | undefined): T | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    const result = read(value);
    if (result === undefined) throw badGguf(this.file, `has "${name}" that is not ${wanted}`);
    return result;
  }
}

function isList(value: GgufValue): value is GgufList {
  return typeof value === "object";
}
