import { ValidationError } from "../src/errors.js";
import { formCheck, schemaCheck } from "../src/reply-form.js";

const PERSON = {
  type: "object",
  properties: { name: { type: "string" }, born: { type: "integer" }, kind: { enum: ["a", "b"] } },
  required: ["name"],
  additionalProperties: false,
};

async function problemOf(content: string, schema: Record<string, unknown> = PERSON) {
  const check = await formCheck({ type: "json_schema", schema });
  return check!(content);
}

describe("a reply that should fit a schema", () => {
  test.each(['{"name":"Ada"}', ' {"born": 1815, "name": "Ada"}\n'])(
    "may be %s",
    async (content) => {
      expect(await problemOf(content)).toBeUndefined();
    },
  );

  test.each([
    ["Ada, 1815", /^The reply is no JSON: /],
    ['```json\n{"name":"Ada"}\n```', /^The reply is no JSON: /],
    ['{"name":"Ada"', /^The reply is no JSON: /],
    ["{}", "The reply does not fit: it must have required property 'name'."],
    ['{"name":"Ada","born":"1815"}', "The reply does not fit: /born must be integer."],
    [
      '{"name":"Ada","age":36}',
      "The reply does not fit: it must NOT have additional properties (age).",
    ],
    [
      '{"name":"Ada","kind":"c"}',
      'The reply does not fit: /kind must be equal to one of the allowed values (["a","b"]).',
    ],
  ])("may not be %s", async (content, message) => {
    const problem = await problemOf(content);
    expect(problem).toMatchObject({
      name: "GenerationError",
      code: "schema_mismatch",
      partial: content,
    });
    expect(problem!.message).toMatch(message);
  });
});

test.each([
  ['{"a":1}', true],
  ["[]", false],
  ["null", false],
  ["{", false],
])("a reply that should be a JSON object may be %s: %s", async (content, fits) => {
  const check = await formCheck({ type: "json_object" });
  expect(check!(content) === undefined).toBe(fits);
});

test.each([
  { type: "text" as const },
  { type: "regex" as const, pattern: "a" },
  { type: "grammar" as const, grammar: "start: " },
])("of $type nothing is checked", async (format) => {
  expect(await formCheck(format)).toBeUndefined();
});

describe("a schema", () => {
  test.each([
    [{ type: "person" }, /type/],
    [{ properties: 3 }, /properties/],
    [{ $ref: "#/nowhere" }, /nowhere/],
    [{ $ref: "https://example.org/schema" }, /example\.org/],
    [{ pattern: "(" }, /pattern|regular expression/i],
  ])("such as %j is refused", async (schema, message) => {
    const failure = await schemaCheck(schema).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ValidationError);
    expect(failure).toMatchObject({ code: "validation" });
    expect((failure as Error).message).toMatch(message);
  });

  test("has the words of draft 2020-12, and of draft 7 where it says so", async () => {
    const list = [1, "a"];
    const newer = { prefixItems: [{ type: "integer" }, { type: "integer" }] };
    expect((await schemaCheck(newer))(list)).toBe("/1 must be integer");
    const older = {
      $schema: "http://json-schema.org/draft-07/schema#",
      items: [{ type: "integer" }, { type: "integer" }],
    };
    expect((await schemaCheck(older))(list)).toBe("/1 must be integer");
  });

  test("checks formats, and leaves words aside that no draft knows", async () => {
    const check = await schemaCheck({ format: "date", colour: "red", type: "string" });
    expect(check("1815-12-10")).toBeUndefined();
    expect(check("10 Dec 1815")).toMatch(/format "date"/);
    expect((await schemaCheck({ format: "colour" }))("red")).toBeUndefined();
  });

  test("whose pattern would try ways without end costs a bounded time", async () => {
    const check = await schemaCheck({ type: "string", pattern: "^(a+)+$" });
    expect(check("aaa")).toBeUndefined();
    expect(() => check(`${"a".repeat(64)}!`)).toThrow(
      "The JSON Schema cannot be checked: it takes more than 1 s.",
    );
  });

  test("may have the $id of another one", async () => {
    const [first, second] = ["string", "integer"].map((type) => ({ $id: "https://a.b/c", type }));
    expect((await schemaCheck(first!))("a")).toBeUndefined();
    expect((await schemaCheck(second!))("a")).toBe("it must be integer");
  });
});
