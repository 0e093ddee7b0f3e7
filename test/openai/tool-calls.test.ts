import { ToolCallAssembler } from "../../src/openai/tool-calls.js";

function callsOf(...fragments: Record<string, unknown>[]) {
  const assembler = new ToolCallAssembler();
  for (const fragment of fragments) assembler.add(fragment);
  return assembler.calls();
}

const part = (fields: object, name?: string, args?: unknown) => ({
  ...fields,
  function: { name, arguments: args },
});

test("a call is put together where only its first fragment has an id and a name", () => {
  const calls = callsOf(
    part({ index: 0, id: "365174485" }, "get_weather", ""),
    part({ index: 0 }, undefined, '{"city":'),
    part({ index: 0 }, undefined, '"Paris"}'),
  );
  expect(calls).toEqual([{ id: "365174485", name: "get_weather", arguments: { city: "Paris" } }]);
});

test("calls side by side are told apart by their indices", () => {
  const calls = callsOf(
    part({ index: 0, id: "a" }, "look", ""),
    part({ index: 1, id: "b" }, "listen", ""),
    part({ index: 0 }, undefined, '{"at":"cat"}'),
    part({ index: 1 }, undefined, '{"to":"dog"}'),
  );
  expect(calls).toEqual([
    { id: "a", name: "look", arguments: { at: "cat" } },
    { id: "b", name: "listen", arguments: { to: "dog" } },
  ]);
});

test("calls are told apart by their ids where all have the same index", () => {
  const calls = callsOf(
    part({ index: 0, id: "a" }, "look", '{"at":"cat"}'),
    part({ index: 0, id: "b" }, "look", '{"at":'),
    part({ index: 0, id: "b" }, undefined, '"dog"}'),
  );
  expect(calls.map(({ id, arguments: args }) => [id, args])).toEqual([
    ["a", { at: "cat" }],
    ["b", { at: "dog" }],
  ]);
});

test("a fragment with another id but without a name goes on with the call", () => {
  const calls = callsOf(
    part({ index: 0, id: "a" }, "look", '{"at":'),
    part({ index: 0, id: "x" }, undefined, "1}"),
  );
  expect(calls).toEqual([{ id: "a", name: "look", arguments: { at: 1 } }]);
});

test("calls without ids and indices begin with their names, and get ids", () => {
  const calls = callsOf(part({}, "look", "{}"), part({}, "listen", "{"), part({}, undefined, "}"));
  expect(calls).toEqual([
    { id: expect.stringMatching(/^call_./), name: "look", arguments: {} },
    { id: expect.stringMatching(/^call_./), name: "listen", arguments: {} },
  ]);
  expect(calls[0]!.id).not.toBe(calls[1]!.id);
});

test("the same tool may be called twice without ids", () => {
  const calls = callsOf(
    part({ index: 0 }, "look", '{"at":1}'),
    part({ index: 0 }, "look", '{"at":2}'),
  );
  expect(calls.map((call) => call.arguments)).toEqual([{ at: 1 }, { at: 2 }]);
});

test("a name that is repeated in each fragment does not begin a call each time", () => {
  const calls = callsOf(part({ index: 0 }, "look", '{"at":'), part({ index: 0 }, "look", "2}"));
  expect(calls).toMatchObject([{ name: "look", arguments: { at: 2 } }]);
});

test("a name may come after the id", () => {
  const calls = callsOf(part({ index: 0, id: "a" }), part({ index: 0 }, "look", "{}"));
  expect(calls).toEqual([{ id: "a", name: "look", arguments: {} }]);
});

test("arguments may come as an object, or not at all", () => {
  const calls = callsOf(part({ id: "a" }, "look", { at: "cat" }), part({ id: "b" }, "nap"));
  expect(calls.map((call) => call.arguments)).toEqual([{ at: "cat" }, {}]);
});

test.each(["{oops", "[1]", "null", '"text"'])("arguments %s are kept as they are", (text) => {
  expect(callsOf(part({ id: "a" }, "look", text))).toEqual([
    { id: "a", name: "look", arguments: {}, invalidArguments: text },
  ]);
});
