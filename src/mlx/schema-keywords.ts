import { isObject } from "../fields.js";

/** Keywords under which names stand that anybody may choose. */
const NAMING = new Set(["properties", "patternProperties", "$defs", "definitions"]);
/** Keywords under which there is no schema. */
const PLAIN = new Set(["const", "enum", "default", "examples"]);

/** What of a schema cannot be enforced, from the words of llguidance. */
export function complaintOf(message: string, schema: string): string {
  const [, elsewhere] = /^Resource '(.*?)' is not present/.exec(message) ?? [];
  if (elsewhere !== undefined) return `it refers to ${elsewhere}, which is not within it`;
  const places = placesOf(message, schema);
  return places.length === 0 ? message : `it does not know ${places.join(" and ")}`;
}

/**
 * Where a schema has the keywords that llguidance says it does not know, for example
 * `"not" at #/properties/name`. Nothing if it complains of something else.
 */
function placesOf(message: string, schema: string): string[] {
  const [, list] = /^Unimplemented keys: (\[.*?\])/.exec(message) ?? [];
  const keywords = message.startsWith("oneOf")
    ? ["oneOf"]
    : list
      ? (JSON.parse(list) as string[])
      : [];
  const root: unknown = JSON.parse(schema);
  return keywords.map((keyword) => `"${keyword}" at ${placeOf(keyword, root, "#") ?? "#"}`);
}

/** The first place where a keyword stands. */
function placeOf(keyword: string, schema: unknown, place: string): string | undefined {
  if (Array.isArray(schema)) return firstIn(Object.entries(schema), keyword, place);
  if (!isObject(schema)) return undefined;
  if (Object.hasOwn(schema, keyword)) return place;
  for (const [key, value] of Object.entries(schema)) {
    if (PLAIN.has(key)) continue;
    const within = `${place}/${key}`;
    const found =
      NAMING.has(key) && isObject(value)
        ? firstIn(Object.entries(value), keyword, within)
        : placeOf(keyword, value, within);
    if (found !== undefined) return found;
  }
  return undefined;
}

function firstIn(entries: [string, unknown][], keyword: string, place: string): string | undefined {
  for (const [key, value] of entries) {
    const found = placeOf(keyword, value, `${place}/${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}
