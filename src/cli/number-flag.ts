import { InvalidArgumentError } from "commander";

/** Which numbers a flag takes. */
export interface Range {
  whole?: boolean;
  above?: number;
  min?: number;
  max?: number;
}

/** Reads the number of a flag; commander reports what it throws. */
export function numberFlag(flag: string, range: Range): (text: string) => number {
  const { whole = false, above = -Infinity, min = -Infinity, max = Infinity } = range;
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    const right = whole ? Number.isSafeInteger(value) : Number.isFinite(value);
    if (right && value > above && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`${flag} must be ${describeRange(range)}.`);
  };
}

function describeRange({ whole, above, min, max }: Range): string {
  const kind = whole ? "a whole number" : "a number";
  if (above !== undefined)
    return `${kind} above ${above}${max === undefined ? "" : `, up to ${max}`}`;
  return max === undefined ? `${kind}, ${min} or more` : `${kind} from ${min} to ${max}`;
}
