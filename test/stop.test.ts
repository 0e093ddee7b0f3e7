import { StopMatcher } from "../src/stop.js";

/** Feeds pieces and returns everything that came out. */
test("tells which stop string ended the text", () => {
  const matcher = new StopMatcher(["b", "ab", "c"]);
  expect(matcher.matched).toBeUndefined();
  matcher.push("xa");
  expect(matcher.matched).toBeUndefined();
  matcher.push("bc");
  expect(matcher.matched).toBe("ab");
});

function run(stops: string[], pieces: Iterable<string>): { text: string; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  let text = "";
  for (const piece of pieces) {
    const result = matcher.push(piece);
    text += result.text;
    if (result.stopped) return { text, stopped: true };
  }
  return { text: text + matcher.flush(), stopped: false };
}

/** The same rule, said in the simplest way: the first moment at which the text ends with a stop string. */
function expected(stops: string[], text: string): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; end++) {
    const ending = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    const longest = Math.max(...ending.map((stop) => stop.length));
    if (ending.length > 0) return { text: text.slice(0, end - longest), stopped: true };
  }
  return { text, stopped: false };
}

test("without stop strings text passes at once", () => {
  const matcher = new StopMatcher([]);
  expect(matcher.push("Hello")).toEqual({ text: "Hello", stopped: false });
  expect(matcher.flush()).toBe("");
});

test("the stop string is left out, and what follows it too", () => {
  expect(run(["END"], ["one END two"])).toEqual({ text: "one ", stopped: true });
});

test("finds a stop string that comes in pieces", () => {
  expect(run(["\n\nUser:"], ["Hi.\n", "\nUs", "er", ": x"])).toEqual({
    text: "Hi.",
    stopped: true,
  });
});

test("holds back only what may become a stop string", () => {
  const matcher = new StopMatcher(["abcd"]);
  expect(matcher.push("xyzab").text).toBe("xyz");
  expect(matcher.push("c").text).toBe("");
  expect(matcher.push("x").text).toBe("abcx");
  expect(matcher.flush()).toBe("");
});

test("holds back the longest of several beginnings", () => {
  const matcher = new StopMatcher(["aaab", "ab-"]);
  expect(matcher.push("xaa")).toEqual({ text: "x", stopped: false });
  expect(matcher.push("a")).toEqual({ text: "", stopped: false });
  expect(matcher.push("a")).toEqual({ text: "a", stopped: false });
  expect(matcher.push("b")).toEqual({ text: "", stopped: true });
});

test("the text held back comes out when the reply ends", () => {
  expect(run(["STOP"], ["go ST", "O"])).toEqual({ text: "go STO", stopped: false });
});

test("of several stop strings the one that is complete first wins", () => {
  expect(run(["world", "lo"], ["Hello world"])).toEqual({ text: "Hel", stopped: true });
});

test("of stop strings that end together the longest wins", () => {
  expect(run(["b", "ab", "xab"], ["1xab2"])).toEqual({ text: "1", stopped: true });
});

test("nothing comes after a stop", () => {
  const matcher = new StopMatcher(["."]);
  expect(matcher.push("a.b")).toEqual({ text: "a", stopped: true });
  expect(matcher.push("c")).toEqual({ text: "", stopped: true });
  expect(matcher.flush()).toBe("");
});

test("a stop string may be an emoji, and pairs are not split", () => {
  expect(run(["😀"], ["a😁b😀c"])).toEqual({ text: "a😁b", stopped: true });
  const matcher = new StopMatcher(["x"]);
  expect(matcher.push("a\ud83d").text).toBe("a");
  expect(matcher.push("\ude01").text).toBe("😁");
});

test("the result does not depend on how the text is cut", () => {
  const letters = ["a", "b", "ab", "ba", "aab"];
  let seed = 1;
  const random = (limit: number): number => {
    seed = (seed * 48271) % 2147483647;
    return seed % limit;
  };
  const word = (length: number): string => {
    return Array.from({ length }, () => letters[random(letters.length)]).join("");
  };
  for (let round = 0; round < 3000; round++) {
    const stops = Array.from({ length: 1 + random(3) }, () => word(1 + random(4)));
    const text = word(random(12));
    const pieces: string[] = [];
    for (let index = 0; index < text.length; ) {
      const length = 1 + random(4);
      pieces.push(text.slice(index, index + length));
      index += length;
    }
    expect({ stops, pieces, ...run(stops, pieces) }).toEqual({
      stops,
      pieces,
      ...expected(stops, text),
    });
  }
});
