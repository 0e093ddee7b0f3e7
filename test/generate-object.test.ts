import * as z from "zod";
import { LLMClient } from "../src/client.js";
import { LLMError } from "../src/errors.js";
import { generateObject } from "../src/generate-object.js";
import type { LLMRequest, LLMResponse } from "../src/types.js";
import { describeNative } from "./helpers/native.js";

// Other work may keep the machine busy.
jest.setTimeout(60_000);

const person = z.object({
  name: z.string().max(12),
  born: z.int().min(1000).max(2000),
  email: z.email().optional(),
  likes: z.record(z.string(), z.boolean()).default({}),
});

/** A reply of a model that says this. */
function saying(content: string, finishReason: LLMResponse["finishReason"] = "stop") {
  const asked: LLMRequest[] = [];
  const generate = async (request: LLMRequest) => {
    asked.push(request);
    return { content, finishReason, provider: "ollama", requestId: "1" } as LLMResponse;
  };
  return { asked, generate };
}

async function failureOf(content: string, schema: object, finishReason?: "length") {
  const { generate } = saying(content, finishReason);
  const request = { messages: "Hi", schema: schema as Record<string, unknown> };
  const error: unknown = await generateObject(generate, request).catch((reason: unknown) => reason);
  if (!LLMError.is(error)) throw new Error("It did not fail.");
  return error;
}

describe("an object of a zod schema", () => {
  test("has the type and the defaults of the schema", async () => {
    const { generate } = saying('{"name":"Ada","born":1815}');
    const { object, response } = await generateObject(generate, { messages: "Hi", schema: person });
    const name: string = object.name;
    expect([name, object.likes, response.provider]).toEqual(["Ada", {}, "ollama"]);
  });

  test("is asked for with what every engine knows of JSON Schema", async () => {
    const { asked, generate } = saying('{"name":"Ada","born":1815}');
    await generateObject(generate, { messages: "Hi", temperature: 0, schema: person });
    const { responseFormat, temperature } = asked[0]!;
    expect(temperature).toBe(0);
    expect(responseFormat).toMatchObject({
      type: "json_schema",
      schema: {
        type: "object",
        required: ["name", "born"],
        additionalProperties: false,
        properties: { born: { type: "integer", minimum: 1000 } },
      },
    });
    const text = JSON.stringify(responseFormat);
    expect(text).toContain('"format":"email"');
    expect(text).not.toMatch(/"pattern"|"propertyNames"/);
  });

  test("must fit it, and the message says where it does not", async () => {
    const failure = await failureOf('{"name":"Ada","born":"1815"}', person);
    expect(failure).toMatchObject({
      name: "GenerationError",
      code: "schema_mismatch",
      partial: '{"name":"Ada","born":"1815"}',
      provider: "ollama",
    });
    expect(failure.message).toMatch(/^The reply does not fit: born: .*number/);
  });
});

test("an object of a JSON Schema must fit it", async () => {
  const schema = { type: "array", items: { type: "integer" } };
  const { object } = await generateObject<number[]>(saying("[1,2]").generate, {
    messages: "Hi",
    schema,
  });
  expect(object).toEqual([1, 2]);
  expect((await failureOf('[1,"2"]', schema)).message).toBe(
    "The reply does not fit: /1 must be integer.",
  );
});

test("a reply that is no JSON, or was cut, is no object", async () => {
  expect(await failureOf("Ada", person)).toMatchObject({
    code: "schema_mismatch",
    message: "The reply is no JSON.",
  });
  expect(await failureOf('{"name":"A', person, "length")).toMatchObject({
    code: "schema_mismatch",
    message: "The reply was cut before the value was whole.",
    hint: expect.stringContaining("maxTokens"),
  });
});

describeNative("an object of an MLX model", () => {
  const client = new LLMClient({ provider: "mlx", model: "demo" }, { env: {}, configFile: false });
  afterAll(() => client.close());

  test("fits, however wild the model is", async () => {
    for (let seed = 0; seed < 3; seed++) {
      const request = { messages: "Hello", temperature: 2, maxTokens: 600, seed };
      const schema = person.pick({ name: true, born: true });
      const { object } = await client.generateObject({ ...request, schema });
      expect([...object.name].length).toBeLessThanOrEqual(12);
      expect(object.born).toBeGreaterThanOrEqual(1000);
    }
  });
});
