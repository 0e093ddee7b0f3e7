import { readFileSync } from "node:fs";
import { LLMError } from "../../src/errors.js";
import { compileGrammar } from "../../src/mlx/grammar.js";
import type { LoadedModel } from "../../src/mlx/model.js";
import type { NativeGrammar } from "../../src/mlx/native-types.js";
import { grammarOf } from "../../src/mlx/reply-grammar.js";
import { describeNative } from "../helpers/native.js";

// Other work may keep the machine busy.
jest.setTimeout(60_000);

interface Group {
  description: string;
  schema: Record<string, unknown> | boolean;
  tests: { description: string; data: unknown; valid: boolean }[];
}

const file = new URL("../fixtures/json-schema/draft2020-12.json", import.meta.url);
const { format: annotations, ...suite } = JSON.parse(readFileSync(file, "utf8")) as Record<
  string,
  Group[]
>;

/** Files about what is refused wherever it stands, and what is said of it. */
const UNKNOWN: Record<string, RegExp> = {
  contains: /"contains" at #/,
  dependentRequired: /"dependentRequired" at #/,
  dependentSchemas: /"dependentSchemas" at #/,
  dynamicRef: /"(\$dynamicRef|\$dynamicAnchor|if)" at #|refers to http/,
  "if-then-else": /"(if|then|else)" at #/,
  maxContains: /"(maxContains|contains)" at #/,
  minContains: /"(minContains|contains)" at #/,
  not: /"not" at #/,
  propertyNames: /"propertyNames" at #/,
  refRemote: /refers to http/,
  unevaluatedItems: /"unevaluatedItems" at #/,
  unevaluatedProperties: /"unevaluatedProperties" at #/,
  uniqueItems: /"uniqueItems" at #/,
  vocabulary: /refers to http/,
};

/** Groups about known keywords that are refused all the same, and what is said of them. */
const REFUSED: Record<string, Record<string, RegExp>> = {
  additionalProperties: {
    "additionalProperties with propertyNames": /"propertyNames" at #/,
    "dependentSchemas with additionalProperties": /"dependentSchemas" at #/,
  },
  allOf: {
    "allOf with boolean schemas, some false": /Unsatisfiable/,
    "allOf with boolean schemas, all false": /Unsatisfiable/,
  },
  anyOf: { "anyOf with boolean schemas, all false": /Unsatisfiable/ },
  boolean_schema: { "boolean schema 'false'": /Unsatisfiable/ },
  defs: { "validate definition against metaschema": /"\$dynamicAnchor" at #/ },
  multipleOf: { "float division = inf": /"multipleOf" of 0.123456789 is too much work/ },
  oneOf: {
    oneOf: /"oneOf" at #/,
    "oneOf with base schema": /"oneOf" at #/,
    "oneOf with boolean schemas, all true": /"oneOf" at #/,
    "oneOf with boolean schemas, more than one true": /"oneOf" at #/,
    "oneOf with boolean schemas, all false": /Unsatisfiable/,
    "oneOf complex types": /"oneOf" at #/,
    "oneOf with empty schema": /"oneOf" at #/,
    "oneOf with required": /"oneOf" at #/,
    "oneOf with missing optional property": /"oneOf" at #/,
  },
  patternProperties: {
    "multiple simultaneous patternProperties are validated": /not disjoint/,
    "regexes are not anchored by default and are case sensitive": /not disjoint/,
    "patternProperties with boolean schemas": /not disjoint/,
  },
  ref: {
    "remote ref, containing refs itself": /"\$dynamicAnchor" at #/,
    "$ref to boolean schema false": /Unsatisfiable/,
    "ref creates new scope when adjacent to keywords": /"unevaluatedProperties" at #/,
    "ref to if": /"if" at #/,
    "ref to then": /"then" at #/,
    "ref to else": /"else" at #/,
  },
};

/** What is enforced otherwise than the suite has it. docs/structured-output.md tells of these. */
const DEVIATIONS: [reason: string, file: string, test: RegExp][] = [
  ["a leap second may end any minute", "format/date-time", /leap second on a wrong/],
  ["a leap second may end any minute", "format/time", /invalid leap second|leap second \(wrong/],
  [
    "February may have 29 days in any year",
    "format/date",
    /2021 is not|29 days in February \(norm/,
  ],
  ["names are not quoted, hosts are names", "format/email", /a quoted string|an IPv6-address-lit/],
  [
    "no IPv4 address ends one",
    "format/ipv6",
    /mixed format with (the|double|leading)|a long valid ipv6/,
  ],
];

const END = 0xff;

/** Of a token for each byte, so that texts are their tokens. */
const model = {
  stopTokens: [END],
  native: { vocabSize: 256 },
  tokenizer: {
    isSpecial: (id: number) => id === END,
    *allTokenBytes() {
      for (let byte = 0; byte < 256; byte++) yield Uint8Array.of(byte);
    },
  },
} as unknown as LoadedModel;

/** Every text of a value: objects are written in the order of their schema, which is anybody's guess. */
function textsOf(value: unknown): string[] {
  if (Array.isArray(value)) return choices(value.map(textsOf)).map((items) => `[${items.join()}]`);
  if (typeof value !== "object" || value === null) return [JSON.stringify(value)];
  const entries = Object.entries(value);
  return orders(entries).flatMap((order) => {
    const members = order.map(([key, item]) =>
      textsOf(item).map((text) => `${JSON.stringify(key)}:${text}`),
    );
    return choices(members).map((items) => `{${items.join()}}`);
  });
}

function choices([first, ...rest]: string[][]): string[][] {
  if (!first) return [[]];
  const tails = choices(rest);
  return first.flatMap((text) => tails.map((tail) => [text, ...tail]));
}

function orders<Item>(items: Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    orders(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

describeNative("the official cases of draft 2020-12", (addon) => {
  /** A request has an object for a schema. */
  const compile = (schema: Group["schema"]) =>
    compileGrammar(
      model,
      grammarOf({
        type: "json_schema",
        schema: typeof schema === "object" ? schema : { $ref: "#/$defs/it", $defs: { it: schema } },
      })!,
    );
  const refusalOf = async ({ schema }: Group): Promise<LLMError | undefined> => {
    const error: unknown = await compile(schema).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined && !LLMError.is(error)) throw error;
    return error;
  };
  const accepts = (grammar: NativeGrammar, data: unknown) =>
    textsOf(data).some((text) => addon.accepts(grammar, Uint32Array.from(Buffer.from(text))));
  const isKnown = (name: string, test: string) =>
    DEVIATIONS.some(([, file, pattern]) => file === name && pattern.test(test));

  const known = Object.entries(suite).filter(([name]) => !(name in UNKNOWN));
  test.each(known)("%s is enforced", async (name, groups) => {
    for (const group of groups.filter(({ description }) => !REFUSED[name]?.[description])) {
      const grammar = await compile(group.schema);
      for (const { description, data, valid } of group.tests) {
        const expected = isKnown(name, description) ? !valid : valid;
        const what = `${group.description}: ${description}: ${JSON.stringify(data)}`;
        expect([what, accepts(grammar, data)]).toEqual([what, expected]);
      }
    }
  });

  const unknown = Object.entries(suite).filter(([name]) => name in UNKNOWN);
  test.each(unknown)("%s is refused by name", async (name, groups) => {
    for (const group of groups) {
      const { code, message = "It was accepted." } = (await refusalOf(group)) ?? {};
      expect([code, message]).toEqual(["unsupported", expect.stringMatching(UNKNOWN[name]!)]);
    }
  });

  const refused = Object.entries(REFUSED).flatMap(([name, groups]) =>
    Object.entries(groups).map(([description, why]) => [name, description, why] as const),
  );
  test.each(refused)("%s: %s: is refused", async (name, description, why) => {
    const group = suite[name]!.find((each) => each.description === description)!;
    expect(await refusalOf(group)).toMatchObject({
      name: "ValidationError",
      code: "unsupported",
      message: expect.stringMatching(why),
    });
  });

  test("formats are more than annotations, and unknown ones are refused", async () => {
    for (const group of annotations!) {
      const refusal = await refusalOf(group);
      if (refusal) expect(refusal.message).toMatch(/"format" at #|Unknown format/);
      else {
        const grammar = await compile(group.schema);
        const wrong = group.tests.filter(({ description }) => description.startsWith("invalid"));
        for (const { data } of wrong) expect([data, accepts(grammar, data)]).toEqual([data, false]);
      }
    }
  });
});
