import { findJsonMistake } from "../../src/config/json-position.js";

test.each<[string, number, number]>([
  ["", 1, 1],
  ["  \n ", 2, 2],
  ["demo", 1, 1],
  ["{", 1, 2],
  ['{ "model": demo }', 1, 12],
  ["{\n  model: 1\n}", 2, 3],
  ['{\r\n  "a": 1,\r\n}', 3, 1],
  ['{"a" 1}', 1, 6],
  ['{"a":1 "b":2}', 1, 8],
  ['{"a":,}', 1, 6],
  ["{,}", 1, 2],
  ["[1,]", 1, 4],
  ["[1 2]", 1, 4],
  ["[1}", 1, 3],
  ['{"a":1]', 1, 7],
  ["{} {}", 1, 4],
  ["]", 1, 1],
  ['{"a":"b\n"}', 1, 6],
  ['{"a":"\\x"}', 1, 6],
  ['{"a":01}', 1, 7],
  ['{"a":tru}', 1, 6],
  ['{"a":NaN}', 1, 6],
  ["{'a':1}", 1, 2],
  ['{"a":1} // no comments', 1, 9],
  ['{"é😀":"ü",\n"b"}', 2, 4],
])("%j breaks at line %i, column %i", (text, line, column) => {
  expect(() => JSON.parse(text)).toThrow(SyntaxError);
  expect(findJsonMistake(text)).toEqual({ line, column });
});

test("a text that is nested without end has no place to point at", () => {
  expect(findJsonMistake("[".repeat(100_000))).toBeUndefined();
});

test("a long text that is never closed is read in a moment", () => {
  expect(findJsonMistake(`{"a":"${"x".repeat(1_000_000)}`)).toEqual({ line: 1, column: 6 });
});
