import { wantsColor } from "../../src/cli/io.js";

test.each([
  [true, {}, true],
  [false, {}, false],
  [true, { NO_COLOR: "1" }, false],
  [true, { NO_COLOR: "" }, true],
  [true, { TERM: "dumb" }, false],
  [false, { FORCE_COLOR: "1" }, true],
  [true, { FORCE_COLOR: "0" }, false],
  [true, { NO_COLOR: "1", FORCE_COLOR: "1" }, false],
])("on a terminal: %p, with %j: color is %p", (isTTY, env, expected) => {
  expect(wantsColor(isTTY, env)).toBe(expected);
});
