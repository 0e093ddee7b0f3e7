import * as z from "zod/mini";

/** A field that may be absent, or null, which means the same. */
export function may<Schema extends z.ZodMiniType>(schema: Schema) {
  return z.nullish(schema);
}

/** A field that changes nothing here, whatever it is. */
export const anything = z.optional(z.unknown());

/** The same without the fields that are null or undefined. */
export function given<T extends object>(
  fields: T,
): { [Key in keyof T]?: Exclude<T[Key], null | undefined> } {
  const entries = Object.entries(fields).filter(
    ([, value]) => value !== undefined && value !== null,
  );
  return Object.fromEntries(entries) as ReturnType<typeof given<T>>;
}
