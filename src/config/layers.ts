import type { ConfigValues } from "./schema.js";

/** What one source gives, checked. */
export interface Layer {
  values: ConfigValues;
  /** Where a field comes from, in words. */
  originOf(field: string): string;
  /** Where relative folders start; the working directory unless told. */
  folder?: string;
  isEnvironment?: boolean;
  isFile?: boolean;
  /** True for the file of the working directory that nobody named. */
  isProject?: boolean;
}

/** A value with its origin; the layer is missing for a default. */
export interface Found<T> {
  value: T;
  origin: string;
  layer?: Layer;
}

/** The value of the first layer that gives a field. */
export function find<Field extends keyof ConfigValues>(
  layers: Layer[],
  field: Field,
): Found<NonNullable<ConfigValues[Field]>> | undefined {
  const layer = layers.find(({ values }) => values[field] !== undefined);
  return layer && { value: layer.values[field]!, origin: layer.originOf(field), layer };
}

/** A value that nobody gave. */
export function byDefault<T>(value: T): Found<T> {
  return { value, origin: value === undefined ? "not set" : "default" };
}
