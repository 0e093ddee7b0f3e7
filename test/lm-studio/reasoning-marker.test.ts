import { ReasoningMarkerFilter } from "../../src/lm-studio/reasoning-marker.js";
import type { ResponseFormat } from "../../src/types.js";

const MARKER =
  "__LM_STUDIO_INTERNAL_LSEP_SYNTHETIC_REASONING_END_f4e9a8d2c6b14d0c9e5f3a7b8c1d2e6a__";
const JSON_FORMAT: ResponseFormat = { type: "json_object" };

/** What comes of pieces of text. */
function filtered(pieces: string[], format?: ResponseFormat) {
  const filter = new ReasoningMarkerFilter(format);
  const all = [...pieces.map((piece) => filter.push(piece)), filter.flush()];
  return {
    text: all.map(({ text }) => text).join(""),
    reasoning: all.map(({ reasoning = "" }) => reasoning).join(""),
  };
}

test("a marker is taken out, however it is split", () => {
  const said = `Well.${MARKER}Yes.`;
  for (let at = 1; at < said.length; at++) {
    expect(filtered([said.slice(0, at), said.slice(at)]).text).toBe("Well.Yes.");
  }
  expect(filtered([...said]).text).toBe("Well.Yes.");
  expect(filtered([`a${MARKER}b${MARKER}`]).text).toBe("ab");
});

test("other text comes at once and unchanged", () => {
  const filter = new ReasoningMarkerFilter();
  expect(filter.push("snake_case and __init__.py")).toEqual({ text: "snake_case and __init__.py" });
  expect(filter.push("plain")).toEqual({ text: "plain" });
});

test.each(["__", "__LM_STUDIO_INTERNAL", `${MARKER.slice(0, -2)}`, `${MARKER.slice(0, 60)}!`])(
  "text that only begins like a marker is kept: %s",
  (text) => {
    expect(filtered([text, " and so on"]).text).toBe(`${text} and so on`);
    expect(filtered([text]).text).toBe(text);
  },
);

test("a marker without end is not waited for", () => {
  const filter = new ReasoningMarkerFilter();
  expect(filter.push(MARKER.slice(0, 60)).text).toBe("");
  expect(filter.push("f".repeat(100)).text).toHaveLength(160);
});

test("before a JSON reply, what stands before the marker is reasoning", () => {
  const pieces = ["Okay, the", " user wants JSON.", MARKER, '\n{"city":', '"Paris"}'];
  expect(filtered(pieces, JSON_FORMAT)).toEqual({
    reasoning: "Okay, the user wants JSON.",
    text: '\n{"city":"Paris"}',
  });
});

test("JSON itself does not wait", () => {
  const filter = new ReasoningMarkerFilter(JSON_FORMAT);
  expect(filter.push("\n ")).toEqual({ text: "" });
  expect(filter.push('{"a"')).toMatchObject({ text: '\n {"a"' });
  expect(filter.push(": 1}")).toMatchObject({ text: ": 1}" });
});

test("a reply that is no JSON comes at its end", () => {
  expect(filtered(["I ", "cannot."], JSON_FORMAT)).toEqual({ reasoning: "", text: "I cannot." });
});
