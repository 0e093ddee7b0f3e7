import type {
  NativeGrammar,
  NativeGrammarType,
  NativeModel,
  NativeTokenTable,
} from "../../src/mlx/native-types.js";
import { fixtureFolder, generateAll, loadFolder, readGolden } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

// Other work may keep the machine busy.
jest.setTimeout(30_000);

const CHARACTERS = '{}[]":,.-+ \n\\abcdefghijklmnopqrstuvwxyz0123456789';
/** Of a model with 80 logits; those beyond the characters are no tokens. */
const ENDS = [70, 71];
const VOCABULARY = 80;

const PERSON = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 6, pattern: "^[a-z]+$" },
    age: { type: "integer", minimum: 0, maximum: 150 },
    likes: { type: "array", items: { enum: ["tea", "sun"] }, maxItems: 2 },
  },
  required: ["name", "age", "likes"],
  additionalProperties: false,
  "x-guidance": { whitespace_pattern: " ?" },
};

/** Two ways each. */
const MANY_WAYS = Array.from({ length: 30 }, (_, place) => ({
  anyOf: ["a", "b"].map((name) => ({ properties: { [name + place]: { type: "string" } } })),
}));

/** Following them takes more than the stack of an ordinary thread. */
function chainOfRules(count: number): string {
  const rules = Array.from({ length: count }, (_, place) => `r${place}: r${place + 1} | "a"`);
  return ["start: r0", ...rules, `r${count}: "b"`].join("\n");
}

function textOf(tokens: number[]): string {
  return tokens.map((token) => CHARACTERS[token]).join("");
}

function tokensOf(text: string): Uint32Array {
  return Uint32Array.from(text, (character) => CHARACTERS.indexOf(character));
}

function isPerson(text: string): boolean {
  const { name, age, likes, ...rest } = JSON.parse(text) as Record<string, unknown>;
  return (
    /^[a-z]{1,6}$/.test(name as string) &&
    Number.isInteger(age) &&
    (age as number) <= 150 &&
    (likes as string[]).every((like) => ["tea", "sun"].includes(like)) &&
    Object.keys(rest).length === 0
  );
}

describeNative("a grammar", (addon) => {
  const { prompt } = readGolden("llama");
  let model: NativeModel;
  let table: NativeTokenTable;
  const compile = (type: NativeGrammarType, text: string | object): Promise<NativeGrammar> =>
    addon.grammar(table, type, typeof text === "string" ? text : JSON.stringify(text));
  const failureOf = (work: Promise<unknown>) =>
    work.then(
      () => "none",
      ({ code, message }) => `${code}: ${message}`,
    );

  beforeAll(async () => {
    model = await loadFolder(addon, fixtureFolder("llama"));
    const lengths = new Uint32Array(VOCABULARY).fill(1, 0, CHARACTERS.length);
    for (const end of ENDS) lengths[end] = 2;
    const ends = Buffer.from([0xff, 0x41, 0xff, 0x42]);
    const bytes = Uint8Array.from([...Buffer.from(CHARACTERS), ...ends]);
    table = await addon.tokenTable({ bytes, lengths, ends: ENDS });
  });
  afterAll(() => model.close());

  const hot = (seed: number) => ({ temperature: 2, seed, maxTokens: 300, stopTokens: ENDS });

  test("is kept to by a random model at a high temperature", async () => {
    const grammar = await compile("json_schema", PERSON);
    for (let seed = 0; seed < 20; seed++) {
      const { tokens, stats } = await generateAll(model, prompt, { ...hot(seed), grammar });
      expect([seed, textOf(tokens), isPerson(textOf(tokens))]).toEqual([
        seed,
        textOf(tokens),
        true,
      ]);
      expect(stats.finishReason).toBe("stop");
    }
  });

  test.each(["topK", "topP", "minP", "xtcProbability"])("is kept to with %s", async (option) => {
    const grammar = await compile("json_schema", PERSON);
    const narrow = { topK: 3, topP: 0.3, minP: 0.5, xtcProbability: 1 }[option];
    const sampling = { ...hot(1), repetitionPenalty: 1.5, frequencyPenalty: 1, [option]: narrow };
    const { tokens } = await generateAll(model, prompt, { ...sampling, grammar });
    expect(isPerson(textOf(tokens))).toBe(true);
  });

  test("lets a reply end only where it is whole", async () => {
    const grammar = await compile("regex", "[a-z]{3,20}");
    const lengths = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { tokens } = await generateAll(model, prompt, { ...hot(seed), grammar });
      expect(textOf(tokens)).toMatch(/^[a-z]{3,20}$/);
      lengths.add(tokens.length);
    }
    expect(lengths.size).toBeGreaterThan(3);
  });

  test("ends a reply by itself once nothing may follow", async () => {
    const grammar = await compile("regex", "yes|no");
    const { tokens, stats } = await generateAll(model, prompt, { grammar });
    expect(["yes", "no"]).toContain(textOf(tokens));
    expect(stats).toMatchObject({ finishReason: "stop", completionTokens: tokens.length });
  });

  test("is cut where the reply must end", async () => {
    const grammar = await compile("regex", "[a-z]{9}");
    const { tokens, stats } = await generateAll(model, prompt, { grammar, maxTokens: 4 });
    expect([tokens.length, stats.finishReason]).toEqual([4, "length"]);
  });

  test("follows Lark", async () => {
    const grammar = await compile("lark", 'start: pair ("," pair)*\npair: /[a-c]/ ":" /[0-9]/');
    const { tokens } = await generateAll(model, prompt, { ...hot(3), grammar });
    expect(textOf(tokens)).toMatch(/^[abc]:\d(,[abc]:\d)*$/);
  });

  test("tells the probabilities of what may come", async () => {
    const grammar = await compile("regex", "[ab]{4}");
    const logprobs: number[] = [];
    const session = model.session();
    const sampling = { maxTokens: 9, stopTokens: [], temperature: 0, topLogprobs: 3, grammar };
    await session.generate(prompt, sampling, ({ topLogprobs }) => {
      logprobs.push(...topLogprobs!);
    });
    session.close();
    expect(logprobs).toHaveLength(12);
    for (let place = 0; place < 12; place += 3) {
      const [first, second, third] = logprobs.slice(place, place + 3) as [number, number, number];
      expect(Math.exp(first) + Math.exp(second)).toBeCloseTo(1, 5);
      expect(third).toBe(-Infinity);
    }
  });

  test("is one reply's own in a batch", async () => {
    const person = await compile("json_schema", PERSON);
    const word = await compile("regex", "[a-z]{5,40}");
    const settings = [
      { ...hot(1), grammar: person },
      { ...hot(2), maxTokens: 30 },
      { ...hot(3), grammar: word },
      { ...hot(4), grammar: person },
      { ...hot(5), maxTokens: 25, temperature: 0 },
    ];
    const alone: number[][] = [];
    for (const sampling of settings) {
      alone.push((await generateAll(model, prompt, sampling)).tokens);
    }
    const together = settings.map((sampling) => generateAll(model, prompt, sampling));
    expect((await Promise.all(together)).map(({ tokens }) => tokens)).toEqual(alone);
    expect(isPerson(textOf(alone[0]!)) && isPerson(textOf(alone[3]!))).toBe(true);
    expect(textOf(alone[2]!)).toMatch(/^[a-z]{5,40}$/);
  });

  test("that the tokens cannot express fails that reply alone", async () => {
    const impossible = await compile("regex", "ab?Z");
    const other = generateAll(model, prompt, { maxTokens: 40 });
    const failed = generateAll(model, prompt, { grammar: impossible });
    expect(await failureOf(failed)).toMatch(/^grammar_failed: /);
    expect((await other).tokens).toHaveLength(40);
  });

  test("ends with its reply when that is cancelled", async () => {
    const grammar = await compile("regex", "[a-z]{1000}");
    const session = model.session();
    const sampling = { ...hot(1), maxTokens: 1000, grammar };
    const stats = await session.generate(prompt, sampling, () => session.cancel());
    session.close();
    expect(stats.finishReason).toBe("cancelled");
    expect(stats.completionTokens).toBeLessThan(1000);
  });

  test.each<[string, NativeGrammarType, string | object]>([
    ["a regular expression that is none", "regex", "(a"],
    ["a grammar without a start", "lark", "begin: /a/"],
    ["a grammar that is none", "lark", "start: ("],
    ["a schema that is no JSON", "json_schema", "{"],
    ["an unknown type", "json_schema", { type: "person" }],
    ["a keyword that cannot be enforced", "json_schema", { not: { type: "string" } }],
    ["a schema that nothing fits", "json_schema", { type: "integer", minimum: 3, maximum: 2 }],
    ["a schema elsewhere", "json_schema", { $ref: "https://example.org/schema" }],
    ["a schema with too many ways", "json_schema", { allOf: MANY_WAYS }],
    ["an expression that nests too deep", "regex", "(".repeat(5000) + ")".repeat(5000)],
    [
      "a schema that nests too deep",
      "json_schema",
      `${'{"items":'.repeat(2000)}true${"}".repeat(2000)}`,
    ],
    ["a kind that is none", "yacc" as NativeGrammarType, "start"],
  ])("is refused for %s", async (_, type, text) => {
    const failure = await failureOf(compile(type, text));
    expect(failure).toMatch(/^bad_grammar: ./);
    expect(failure).not.toContain("backtrace");
  });

  test("of many rules, each within the one before, is compiled", async () => {
    const grammar = await compile("lark", chainOfRules(5000));
    expect(addon.accepts(grammar, Uint32Array.of())).toBe(false);
  });

  test("tells which texts are whole", async () => {
    const grammar = await compile("json_schema", { type: "array", items: { type: "integer" } });
    const texts = ["[]", "[1,2]", "[1, 2]", "[1", "[1.5]", "[] ", ""];
    expect(texts.filter((text) => addon.accepts(grammar, tokensOf(text)))).toEqual([
      "[]",
      "[1,2]",
      "[1, 2]",
    ]);
  });

  test("is refused if it was made for other tokens, or by nobody", async () => {
    const small = await addon.tokenTable({
      bytes: Buffer.from("ab"),
      lengths: Uint32Array.of(1, 1),
      ends: [],
    });
    const grammar = await addon.grammar(small, "regex", "a+b");
    expect(addon.accepts(grammar, Uint32Array.of(0, 0, 1))).toBe(true);
    expect(await failureOf(generateAll(model, prompt, { grammar }))).toMatch(/another model/);
    for (const forged of [{}, 1, table as unknown as NativeGrammar]) {
      const failure = failureOf(generateAll(model, prompt, { grammar: forged as NativeGrammar }));
      expect(await failure).toMatch(/^invalid_argument: grammar/);
    }
  });

  test.each([
    [
      "lengths that do not add up",
      { bytes: new Uint8Array(3), lengths: Uint32Array.of(1), ends: [] },
    ],
    [
      "an end that is no token",
      { bytes: new Uint8Array(1), lengths: Uint32Array.of(1), ends: [1] },
    ],
  ])("is not made of a table with %s", async (_, tokens) => {
    expect(await failureOf(addon.tokenTable(tokens))).toMatch(/^invalid_argument: /);
  });
});
