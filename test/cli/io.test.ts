import { harmless, wantsColor } from "../../src/cli/io.js";

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

const ESC = "\u001b";

test.each([
  ["plain\ttext\r\nof any 語 👋🏽\n", "plain\ttext\r\nof any 語 👋🏽\n"],
  [
    `${ESC}[1mbold${ESC}[22m, ${ESC}[2mdim${ESC}[22m`,
    `${ESC}[1mbold${ESC}[22m, ${ESC}[2mdim${ESC}[22m`,
  ],
  [`${ESC}]0;title\u0007`, "␛]0;title␇"],
  [`${ESC}[2J${ESC}[1;31mred`, "␛[2J␛[1;31mred"],
  [`${ESC}]52;c;cm0gLXJm\u0007`, "␛]52;c;cm0gLXJm␇"],
  ["safe\rover\b\u007f\u0000", "safe␍over␈␡␀"],
  ["\u009b2J\u009d", "\ufffd2J\ufffd"],
  ["\u0007[1mno style", "␇[1mno style"],
])("a terminal sees %j as %j", (text, shown) => {
  expect(harmless(text)).toBe(shown);
});
