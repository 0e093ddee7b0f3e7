// The bytes that the server of the benchmarks replays: what Ollama and OpenAI-compatible servers document.

const words = " the| quick| brown| fox|,| naïve|.\n\n|\"| and|'s| 42| café|ing|!| so| it".split(
  "|",
);
const createdAt = "2026-11-23T09:00:00.000000001Z";

/**
 * Models by name: how many tokens a reply has, how many come together, and milliseconds between
 * them; without, they come as fast as they can be written. What a held one says has no end.
 */
export const models = {
  short: { tokens: 16, together: 16 },
  first: { tokens: 2, together: 1 },
  long: { tokens: 200, together: 4 },
  steady: { tokens: 100, together: 1, every: 50 },
  held: { tokens: 16, together: 16, isHeld: true },
};

/** The text of a model, token by token. */
export function tokensOf(model) {
  return Array.from({ length: models[model].tokens }, (_, index) => words[index % words.length]);
}

/** The parts of a reply as chunks of HTTP, grouped as they come together. */
function turns(model, parts) {
  const { together } = models[model];
  const chunks = parts.map((part) => `${Buffer.byteLength(part).toString(16)}\r\n${part}\r\n`);
  return Array.from({ length: chunks.length / together }, (_, turn) =>
    Buffer.from(chunks.slice(turn * together, (turn + 1) * together).join("")),
  );
}

/** A reply of Ollama's `/api/chat`: its chunks, one for each token, and the same in one piece. */
export function ollamaReply(model) {
  const tokens = tokensOf(model);
  const end = {
    done: true,
    done_reason: "stop",
    total_duration: 200_000_000,
    load_duration: 1_000_000,
    prompt_eval_count: 12,
    prompt_eval_duration: 9_000_000,
    eval_count: tokens.length,
    eval_duration: 190_000_000,
  };
  const line = (content, rest) =>
    `${JSON.stringify({
      model,
      created_at: createdAt,
      message: { role: "assistant", content },
      ...rest,
    })}\n`;
  return {
    type: "application/x-ndjson",
    turns: turns(
      model,
      tokens.map((token) => line(token, { done: false })),
    ),
    end: Buffer.from(line("", end)),
    whole: Buffer.from(line(tokens.join(""), end)),
  };
}

/** A reply of `/v1/chat/completions`; the usage comes only for those who ask for it. */
export function openAiReply(model) {
  const tokens = tokensOf(model);
  const usage = {
    prompt_tokens: 12,
    completion_tokens: tokens.length,
    total_tokens: 12 + tokens.length,
  };
  const about = { id: "chatcmpl-123", created: 1_795_424_400, model, system_fingerprint: "fp" };
  const chunk = (rest) =>
    `data: ${JSON.stringify({ ...about, object: "chat.completion.chunk", ...rest })}\n\n`;
  const choice = (rest, finish_reason) => [{ index: 0, ...rest, logprobs: null, finish_reason }];
  const delta = (content) => ({ delta: { role: "assistant", content } });
  const finish = chunk({ choices: choice({ delta: {} }, "stop") });
  const message = { role: "assistant", content: tokens.join("") };
  const completion = {
    ...about,
    object: "chat.completion",
    choices: choice({ message }, "stop"),
    usage,
  };
  return {
    type: "text/event-stream",
    turns: turns(
      model,
      tokens.map((token) => chunk({ choices: choice(delta(token), null) })),
    ),
    end: Buffer.from(`${finish}data: [DONE]\n\n`),
    endWithUsage: Buffer.from(`${finish}${chunk({ choices: [], usage })}data: [DONE]\n\n`),
    whole: Buffer.from(JSON.stringify(completion)),
  };
}

/** What Ollama tells of its models. */
export const lists = {
  "/api/version": { version: "0.17.4" },
  "/api/ps": { models: [] },
  "/api/tags": {
    models: Object.keys(models).map((model) => ({
      name: model,
      model,
      modified_at: createdAt,
      size: 2_019_393_189,
      digest: "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
      details: {
        parent_model: "",
        format: "gguf",
        family: "llama",
        families: ["llama"],
        parameter_size: "3.2B",
        quantization_level: "Q4_K_M",
      },
    })),
  },
  "/v1/models": {
    object: "list",
    data: Object.keys(models).map((id) => ({
      id,
      object: "model",
      created: 1_795_424_400,
      owned_by: "library",
    })),
  },
};
