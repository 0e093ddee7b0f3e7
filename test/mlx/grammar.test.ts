import { fileURLToPath } from "node:url";
import { LLMClient } from "../../src/client.js";
import { LLMError, ValidationError } from "../../src/errors.js";
import { compileGrammar, type Grammar } from "../../src/mlx/grammar.js";
import { type LoadedModel, loadModel } from "../../src/mlx/model.js";
import { grammarOf } from "../../src/mlx/reply-grammar.js";
import type { ResponseFormat } from "../../src/types.js";
import { describeNative } from "../helpers/native.js";

// Other work may keep the machine busy.
jest.setTimeout(60_000);

const DEMO = fileURLToPath(new URL("../../models/demo", import.meta.url));

const PERSON = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 12 },
    age: { type: "integer", minimum: 0, maximum: 150 },
    "is it so?": { type: "boolean" },
  },
  required: ["name", "age", "is it so?"],
  additionalProperties: false,
};

describeNative("the grammar of a reply", (addon) => {
  let model: LoadedModel;

  beforeAll(async () => {
    model = await loadModel(DEMO, addon, new AbortController().signal);
  });
  afterAll(() => model.close());

  const failureOf = async (grammar: Grammar): Promise<LLMError> => {
    const error: unknown = await compileGrammar(model, grammar).catch((reason: unknown) => reason);
    if (!LLMError.is(error)) throw new Error("It was accepted.");
    return error;
  };
  const schema = (text: object): Grammar => ({ type: "json_schema", text: JSON.stringify(text) });

  test("is compiled once for the same text", async () => {
    const grammar: Grammar = { type: "regex", text: "[ab]+" };
    const first = await compileGrammar(model, grammar);
    expect(await compileGrammar(model, { ...grammar })).toBe(first);
    for (let size = 1; size < 20; size++) {
      await compileGrammar(model, { type: "regex", text: `[ab]{${size}}` });
    }
    expect(await compileGrammar(model, grammar)).not.toBe(first);
  });

  test.each<[string, object, string]>([
    ["a keyword", { not: {} }, '"not" at #'],
    [
      "a keyword within",
      { properties: { not: { items: [{ uniqueItems: true }] } } },
      '"uniqueItems" at #/properties/not/items/0',
    ],
    [
      "two keywords",
      { $defs: { a: { contains: {}, if: {} } }, $ref: "#/$defs/a" },
      '"contains" at #/$defs/a and "if" at #/$defs/a',
    ],
    ["alternatives that overlap", { oneOf: [{ minLength: 1 }, { maxLength: 3 }] }, '"oneOf" at #'],
  ])("names %s that cannot be enforced", async (_, text, place) => {
    const error = await failureOf(schema(text));
    expect(error).toBeInstanceOf(ValidationError);
    expect(error.code).toBe("unsupported");
    expect(error.message).toBe(`MLX cannot follow the JSON Schema: it does not know ${place}.`);
  });

  test.each<[string, object, RegExp]>([
    ["an unknown format", { type: "string", format: "colour" }, /format.*colour/i],
    ["a pattern that looks ahead", { type: "string", pattern: "^(?!a)" }, /look/i],
    ["what nothing can be", { type: "integer", minimum: 3, maximum: 2 }, /minimum/],
    ["multiples that take too long", { multipleOf: 1_000_003 }, /"multipleOf" of 1000003 /],
    [
      "multiples that take too long together",
      { allOf: [{ multipleOf: 9973 }, { multipleOf: 9967 }] },
      /"multipleOf" of 9973, 9967 /,
    ],
  ])("tells why a schema with %s cannot be enforced", async (_, text, message) => {
    const error = await failureOf(schema(text));
    expect(error).toMatchObject({ name: "ValidationError", code: "unsupported" });
    expect(error.message).toMatch(message);
  });

  test.each<[string, Grammar, RegExp]>([
    ["a regular expression that is none", { type: "regex", text: "(a" }, /regular expression/],
    ["a grammar that is none", { type: "lark", text: "start: (" }, /grammar/],
    ["a NUL", { type: "regex", text: "a\0b" }, /NUL/],
    ["a text that is too long", { type: "regex", text: "a".repeat(300_000) }, /300000 characters/],
    ["deep brackets", { type: "lark", text: `start: ${"(".repeat(70)}` }, /deeper than 64/],
  ])("is refused for %s", async (_, grammar, message) => {
    const error = await failureOf(grammar);
    expect(error).toMatchObject({ name: "ValidationError", code: "validation" });
    expect(error.message).toMatch(message);
  });

  test("does not count brackets in texts", async () => {
    const texts = Array.from({ length: 100 }, (_, place) => `(${place}`);
    await expect(compileGrammar(model, schema({ enum: texts }))).resolves.toBeDefined();
    const lark = `start: ${texts.map((text) => `"${text}"`).join("|")}`;
    await expect(compileGrammar(model, { type: "lark", text: lark })).resolves.toBeDefined();
  });

  test("bounds white space in JSON, which a model could write for ever", async () => {
    const grammar = await compileGrammar(model, grammarOf({ type: "json_object" })!);
    const accepts = (text: string) =>
      addon.accepts(
        grammar,
        Uint32Array.from(model.tokenizer.encode(text, { addSpecialTokens: false })),
      );
    const indented = JSON.stringify({ a: { b: [1, { c: null }] } }, undefined, 4);
    expect([indented, '{"a":1}', "{}"].filter(accepts)).toHaveLength(3);
    expect(accepts(`{${" ".repeat(200)}}`)).toBe(false);
    expect(accepts(`[]`)).toBe(false);
  });

  describe("in a request", () => {
    let client: LLMClient;
    beforeAll(() => {
      client = new LLMClient({ provider: "mlx", model: "demo" }, { env: {}, configFile: false });
    });
    afterAll(() => client.close());

    const ask = (responseFormat: ResponseFormat, seed: number, maxTokens = 200) =>
      client.generate({ messages: "Hello", temperature: 2, seed, maxTokens, responseFormat });

    test("gives JSON of the schema, however wild the model is", async () => {
      const format = { type: "json_schema" as const, schema: PERSON };
      const replies = await Promise.all(Array.from({ length: 8 }, (_, seed) => ask(format, seed)));
      for (const { content, finishReason } of replies) {
        const { name, age, "is it so?": answer } = JSON.parse(content) as Record<string, unknown>;
        expect([typeof name, Number.isInteger(age), typeof answer]).toEqual([
          "string",
          true,
          "boolean",
        ]);
        expect([...(name as string)].length).toBeLessThanOrEqual(12);
        expect(finishReason).toBe("stop");
      }
    });

    test("gives any JSON object that is not cut", async () => {
      for (let seed = 0; seed < 4; seed++) {
        const { content, finishReason } = await ask({ type: "json_object" }, seed);
        expect(content).toMatch(/^\{/);
        if (finishReason === "stop") expect(JSON.parse(content)).toBeInstanceOf(Object);
      }
    });

    test("gives what a regular expression or a grammar says", async () => {
      const date = await ask({ type: "regex", pattern: "\\d{4}-(0[1-9]|1[0-2])" }, 1);
      expect(date.content).toMatch(/^\d{4}-(0[1-9]|1[0-2])$/);
      const grammar =
        'start: greeting " " name "!"\ngreeting: "Hi" | "Bye"\nname: /[A-Z][a-zé]{2,9}/';
      const greeting = await ask({ type: "grammar", grammar }, 1);
      expect(greeting.content).toMatch(/^(Hi|Bye) [A-Z][a-zé]{2,9}!$/);
    });

    test("is cut where maxTokens is reached", async () => {
      const { content, finishReason } = await ask({ type: "regex", pattern: "[a-z ]{300}" }, 1, 5);
      expect(finishReason).toBe("length");
      expect(content).toMatch(/^[a-z ]+$/);
    });
  });
});
