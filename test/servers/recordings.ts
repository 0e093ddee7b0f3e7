import { execFileSync } from "node:child_process";
import { type GenuineOllama, startOllama } from "./ollama.js";

/** A request whose reply is recorded, and the file in test/fixtures/wire/ollama/<version>/. */
export interface Recording {
  file: string;
  path: string;
  body?: unknown;
}

const messages = [{ role: "user", content: "hi" }];
const sing = [{ role: "user", content: "sing" }];
const long = [{ role: "user", content: "x".repeat(1200) }];
const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "The weather in a city.",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

const chat = (file: string, body: object): Recording => ({
  file,
  path: "/api/chat",
  body: { model: "tiny", messages, ...body },
});
const completion = (file: string, body: object): Recording => ({
  file,
  path: "/v1/chat/completions",
  body: { model: "tiny", messages, stream: true, ...body },
});

/** What is recorded of a genuine Ollama with the scripted model, in this order. */
export const RECORDINGS: Recording[] = [
  { file: "version.json", path: "/api/version" },
  { file: "tags.json", path: "/api/tags" },
  { file: "show.json", path: "/api/show", body: { model: "tiny-thinking" } },
  { file: "ps-empty.json", path: "/api/ps" },
  chat("load.json", { messages: [], keep_alive: 600 }),
  { file: "ps.json", path: "/api/ps" },
  chat("chat.ndjson", {}),
  chat("chat.json", { stream: false }),
  chat("chat-length.ndjson", { messages: sing, options: { num_predict: 3 } }),
  chat("chat-logprobs.ndjson", { logprobs: true, top_logprobs: 2, options: { num_predict: 2 } }),
  chat("chat-cut-prompt.json", { messages: long, stream: false }),
  chat("chat-tools.ndjson", { model: "tiny-tools", tools }),
  chat("chat-tools.json", { model: "tiny-tools", tools, stream: false }),
  chat("chat-thinking.ndjson", { model: "tiny-thinking" }),
  chat("chat-thinking.json", { model: "tiny-thinking", stream: false }),
  chat("chat-thinking-format.ndjson", {
    model: "tiny-thinking",
    format: "json",
    options: { temperature: 0 },
  }),
  {
    file: "embed.json",
    path: "/api/embed",
    body: { model: "tiny", input: ["a", "b"], dimensions: 4 },
  },
  { file: "v1-models.json", path: "/v1/models" },
  completion("v1-chat.sse", { stream_options: { include_usage: true } }),
  completion("v1-chat.json", { stream: false }),
  completion("v1-thinking.sse", { model: "tiny-thinking" }),
  completion("v1-tools.sse", { model: "tiny-tools", tools }),
  chat("unload.json", { messages: [], keep_alive: 0 }),
];

/** Requests that are refused; their replies go into errors.json. */
export const REFUSALS: Record<string, { path: string; body?: unknown; raw?: string }> = {
  modelNotFound: { path: "/api/chat", body: { model: "nope", messages } },
  modelNotFoundByScheduler: { path: "/api/embed", body: { model: "nope", input: "a" } },
  modelRequired: { path: "/api/chat", body: { messages } },
  missingBody: { path: "/api/chat", raw: "" },
  brokenJson: { path: "/api/chat", raw: "{" },
  noTools: { path: "/api/chat", body: { model: "tiny", messages, tools } },
  noThinking: { path: "/api/chat", body: { model: "tiny", messages, think: true } },
  noThinkingLevel: { path: "/api/chat", body: { model: "tiny-thinking", messages, think: "high" } },
  tooManyLogprobs: { path: "/api/chat", body: { model: "tiny", messages, top_logprobs: 21 } },
  badFormat: { path: "/api/chat", body: { model: "tiny", messages, format: "xml" } },
  badKeepAlive: { path: "/api/chat", body: { model: "tiny", messages, keep_alive: "soon" } },
  overflow: { path: "/api/chat", body: { model: "tiny", messages: long, truncate: false } },
  pageNotFound: { path: "/api/nope", body: {} },
  methodNotAllowed: { path: "/api/tags", body: {} },
  openAIModelNotFound: { path: "/v1/chat/completions", body: { model: "nope", messages } },
};

/** A reply as it came. */
export interface RecordedReply {
  status: number;
  contentType: string | null;
  text: string;
}

/** Sends one request to a server, a fake or a genuine one. */
export async function ask(
  url: string,
  { path, body, raw }: { path: string; body?: unknown; raw?: string },
): Promise<RecordedReply> {
  const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const init = sent === undefined ? {} : { method: "POST", body: sent };
  const response = await fetch(`${url}${path}`, init);
  const contentType = response.headers.get("content-type");
  return { status: response.status, contentType, text: await response.text() };
}

/** What differs from reply to reply is made equal, so that replies can be compared. */
export function steady(text: string): string {
  return text
    .replace(/"(created_at|modified_at|expires_at)":"[^"]*"/g, '"$1":"(time)"')
    .replace(/"((?:total|load|prompt_eval|eval)_duration|created)":\d+/g, '"$1":0')
    .replace(/"digest":"[^"]*"/g, '"digest":"(digest)"')
    .replace(/call_[a-z0-9]{8}/g, "call_(random)")
    .replace(/chatcmpl-[a-z0-9]+/g, "chatcmpl-(number)");
}

/** Asks a genuine Ollama everything; returns the files to write. */
export async function recordOllama(): Promise<Record<string, string>> {
  const server = await startOllama({ OLLAMA_CONTEXT_LENGTH: "512" });
  const files: Record<string, string> = {};
  try {
    for (const recording of RECORDINGS) {
      const { text } = await ask(server.url, recording);
      // The one thing that is not kept as it came: where the files of this machine were.
      files[recording.file] = text.replaceAll(server.modelsFolder, "/models");
    }
    files["chat-runner-died.ndjson"] = await killedWhileSinging(server, "/api/chat");
    files["v1-runner-died.sse"] = await killedWhileSinging(server, "/v1/chat/completions");
    const errors: Record<string, RecordedReply> = {};
    for (const [name, refusal] of Object.entries(REFUSALS)) {
      errors[name] = await ask(server.url, refusal);
    }
    files["errors.json"] = `${JSON.stringify(errors, null, 2)}\n`;
    return files;
  } finally {
    await server.stop();
  }
}

/** What a client gets when the process that runs the model dies in the middle of a reply. */
export async function killedWhileSinging(server: GenuineOllama, path: string): Promise<string> {
  const body = JSON.stringify({ model: server.model, messages: sing, stream: true });
  const response = await fetch(`${server.url}${path}`, { method: "POST", body });
  let text = "";
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    if (!text) process.kill(runnerOf(server), "SIGKILL");
    text += chunk;
  }
  return text;
}

function runnerOf(server: GenuineOllama): number {
  return Number(execFileSync("pgrep", ["-P", String(server.process.pid)], { encoding: "utf8" }));
}
