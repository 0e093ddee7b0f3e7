import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import OpenAI from "openai";
import { LLMClient, mlxMemory } from "../../src/index.js";
import { createServer, type LLMServer } from "../../src/server/index.js";
import { embedderFolder, embeddersFolder } from "../helpers/embedder-fixtures.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { floatsFromBase64 } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";

const content = "What is 7 + 5?";
const messages = [{ role: "user" as const, content }];

describeNative("a server over MLX", () => {
  let client: LLMClient;
  let server: LLMServer;
  let url: string;
  let openai: OpenAI;

  beforeAll(async () => {
    client = new LLMClient({ provider: "mlx", idleUnload: 0.2 }, NO_SOURCES);
    server = createServer(client, { port: 0, model: "demo", drainTimeout: 0 });
    url = await server.listen();
    openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });
  });
  afterAll(async () => {
    await server.close();
    await client.close();
  });

  test("says the same in all protocols", async () => {
    const { content: said } = await client.generate({ messages: content, temperature: 0 });
    const chat = await openai.chat.completions.create({ model: "demo", messages, temperature: 0 });
    expect(chat.choices[0]!.message.content).toBe(said);
    const { output_text } = await openai.responses.create({
      model: "demo",
      input: content,
      temperature: 0,
    });
    expect(output_text).toBe(said);
    const anthropic = new Anthropic({ baseURL: url, apiKey: "unused", maxRetries: 0 });
    const body = { model: "demo", max_tokens: 100, messages, temperature: 0 };
    const message = await anthropic.messages.stream(body).finalMessage();
    expect(message.content).toMatchObject([{ type: "text", text: said }]);
    const ollama = new Ollama({ host: url });
    const reply = await ollama.chat({ model: "demo", messages, options: { temperature: 0 } });
    expect(reply.message.content).toBe(said);
    expect(reply.eval_count).toBeGreaterThan(0);
  });

  test("tells the probabilities of tokens", async () => {
    const { choices } = await openai.chat.completions.create({
      model: "demo",
      messages,
      temperature: 0,
      top_logprobs: 2,
      logprobs: true,
      max_tokens: 3,
    });
    expect(choices[0]!.finish_reason).toBe("length");
    const tokens = choices[0]!.logprobs!.content!;
    expect(tokens).toHaveLength(3);
    expect(tokens[0]!.top_logprobs[0]).toMatchObject({ token: tokens[0]!.token });
  });

  test("streams the probabilities of tokens with the text that they make", async () => {
    const request = { model: "demo", temperature: 0, max_tokens: 12, stream: true } as const;
    const pieces: { text: string; tokens: string[] }[] = [];
    for await (const chunk of await openai.chat.completions.create({
      ...request,
      messages,
      logprobs: true,
    })) {
      const [choice] = chunk.choices;
      const tokens = choice?.logprobs?.content?.map(({ token }) => token) ?? [];
      pieces.push({ text: choice?.delta.content ?? "", tokens });
    }
    const told = pieces.filter(({ tokens }) => tokens.length > 0);
    expect(told.length).toBeGreaterThan(1);
    const textOf = (all: typeof pieces) => all.map(({ text }) => text).join("");
    expect(told.flatMap(({ tokens }) => tokens).join("")).toContain(textOf(pieces));

    const offsets: number[] = [];
    for await (const { choices } of await openai.completions.create({
      ...request,
      prompt: "7 + 5",
      logprobs: 1,
    })) {
      offsets.push(...(choices[0]?.logprobs?.text_offset ?? []));
    }
    expect(offsets.length).toBeGreaterThan(1);
    expect(offsets).toEqual([...offsets].sort((one, other) => one - other));

    const ollama = new Ollama({ host: url });
    const reply = { model: "demo", messages, options: { temperature: 0 }, logprobs: true };
    let tokens = "";
    let lines = 0;
    let text = "";
    for await (const line of await ollama.chat({ ...reply, stream: true })) {
      text += line.message.content;
      tokens += (line.logprobs ?? []).map(({ token }) => token).join("");
      if (line.logprobs?.length) lines += 1;
    }
    expect(lines).toBeGreaterThan(1);
    expect(tokens).toContain(text);
  });

  test("continues a text without the chat template", async () => {
    const reply = await openai.completions.create({
      model: "demo",
      prompt: "7 + 5",
      max_tokens: 4,
    });
    expect(reply).not.toHaveProperty("warnings");
    expect(reply.usage!.completion_tokens).toBeLessThanOrEqual(4);
  });

  test("answers a prompt that is too long with 400 and both counts", async () => {
    const long = { role: "user" as const, content: "river ".repeat(20_000) };
    const refused = openai.chat.completions.create({ model: "demo", messages: [long] });
    await expect(refused).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
      message: expect.stringMatching(/\d+.*\d+/),
    });
  });

  test.each([
    ["/v1/chat/completions", { messages }],
    ["/v1/completions", { prompt: content }],
    ["/v1/responses", { input: content }],
    ["/v1/messages", { messages, max_tokens: 5 }],
    ["/api/chat", { messages }],
    ["/api/generate", { prompt: content }],
  ])("has no unknown models at %s", async (path, body) => {
    const response = await fetch(url + path, {
      method: "POST",
      body: JSON.stringify({ ...body, model: "org/no-such-model" }),
    });
    expect(response.status).toBe(404);
    expect(JSON.stringify(await response.json())).toContain("no-such-model");
  });

  test("tells which stop sequence ended a message, and its tokens from the start", async () => {
    const anthropic = new Anthropic({ baseURL: url, apiKey: "unused", maxRetries: 0 });
    const asked = { model: "demo", messages, temperature: 0 };
    const body = { ...asked, max_tokens: 100, stop_sequences: ["never said", " = "] };
    const end = { stop_reason: "stop_sequence", stop_sequence: " = " };
    expect(await anthropic.messages.create(body)).toMatchObject(end);
    const stream = anthropic.messages.stream(body);
    const starts: number[] = [];
    stream.on("streamEvent", (event) => {
      if (event.type === "message_start") starts.push(event.message.usage.input_tokens);
    });
    expect(await stream.finalMessage()).toMatchObject(end);
    const { input_tokens } = await anthropic.messages.countTokens({ model: "demo", messages });
    expect(starts).toEqual([input_tokens]);
    const whole = await anthropic.messages.create({ ...asked, max_tokens: 100 });
    expect(whole).toMatchObject({ stop_reason: "end_turn", stop_sequence: null });
    const { input_tokens: read, cache_read_input_tokens: cached } = whole.usage;
    expect(read + cached!).toBe(input_tokens);
  });

  test("tells how much memory MLX holds", async () => {
    await client.generate({ messages: content, maxTokens: 1 });
    const { active, peak } = mlxMemory()!;
    expect(active).toBeGreaterThan(0);
    expect(peak).toBeGreaterThanOrEqual(active);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(text).toContain(`llm_client_mlx_memory_bytes{kind="peak"} ${mlxMemory()!.peak}\n`);
  });

  test("gives the vectors of a model for embedding, to every genuine client", async () => {
    const name = embedderFolder("bert");
    await using embedder = new LLMClient({ provider: "mlx", model: name }, NO_SOURCES);
    await using over = createServer(embedder, { port: 0, model: name });
    const address = await over.listen();
    const input = ["river", "bank"];
    const { embeddings } = await embedder.embed(input);
    const genuine = new OpenAI({ baseURL: `${address}/v1`, apiKey: "unused", maxRetries: 0 });
    const { data } = await genuine.embeddings.create({ model: name, input });
    const ollama = new Ollama({ host: address });
    for (const vectors of [
      data.map(({ embedding }) => embedding),
      (await ollama.embed({ model: name, input })).embeddings,
    ]) {
      for (const [row, vector] of vectors.entries()) {
        const apart = vector.map((value, place) => Math.abs(value - embeddings[row]![place]!));
        expect(Math.max(...apart)).toBeLessThan(1e-5);
      }
    }
  });

  test("refuses to embed with a model that is not", async () => {
    const refused = openai.embeddings.create({ model: "demo", input: "river" });
    await expect(refused).rejects.toMatchObject({ status: 501, code: "not_supported" });
  });

  test("lists the model as loaded until nobody has used it for a while", async () => {
    const ollama = new Ollama({ host: url });
    await ollama.generate({ model: "demo", prompt: "" });
    const running = async () => (await ollama.ps()).models.map(({ name }) => name);
    expect(await running()).toContain("demo");
    while ((await running()).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describeNative("embeddings over MLX", () => {
  test("embeds with a model that is made for it, as numbers and as bytes", async () => {
    await using client = new LLMClient({ provider: "mlx", baseUrl: embeddersFolder }, NO_SOURCES);
    await using server = createServer(client, { port: 0, drainTimeout: 0 });
    const baseURL = `${await server.listen()}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: "unused", maxRetries: 0 });
    const model = "bert";
    const { embeddings } = await client.embed(["river", "bank"], { model, dimensions: 16 });
    for (const encoding_format of [undefined, "float", "base64"] as const) {
      const reply = await openai.embeddings.create({
        model,
        input: ["river", "bank"],
        dimensions: 16,
        ...(encoding_format && { encoding_format }),
      });
      const given = reply.data.map(({ embedding }) =>
        encoding_format === "base64" ? floatsOf(embedding as unknown) : embedding,
      );
      expect(given.map((vector) => vector.map(Math.fround))).toEqual(
        embeddings.map((vector) => vector.map(Math.fround)),
      );
      expect(reply.usage.prompt_tokens).toBeGreaterThan(2);
    }
  });
});

/** The numbers of a vector in base64. */
function floatsOf(text: unknown): number[] {
  return Array.from(floatsFromBase64(String(text)));
}
