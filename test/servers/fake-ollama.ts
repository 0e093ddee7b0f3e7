import { FakeServer, type FakeServerOptions, type RecordedRequest } from "./fake-server.js";
import { type OllamaModel, OllamaModels, keepAliveSeconds } from "./ollama-models.js";
import { ollamaErrors } from "./ollama-errors.js";
import { chatCompletion, chatStream, completionReply, lastLine } from "./ollama-wire.js";
import { Replies, type ScriptedReply, countTokens, spoken } from "./scripted-replies.js";
import { type Reply, jsonReply, linesReply, wholeReply } from "./wire-reply.js";
import { recordedReply } from "./wire-fixtures.js";

/** What a fake Ollama is to be. */
export interface FakeOllamaOptions extends FakeServerOptions {
  /** 0.17.4 is the one that was recorded; 0.33.0 tells more about models in its list. */
  version?: "0.17.4" | "0.33.0";
  models?: OllamaModel[];
  /** The context of a model that is loaded without a wish. */
  contextLength?: number;
  /** How long loading a model takes. */
  loadMs?: number;
}

/** Starts a fake Ollama; it speaks as the genuine one, and fails on demand. */
export function startFakeOllama(options: FakeOllamaOptions = {}): Promise<FakeOllama> {
  return new FakeOllama(options).start();
}

/** A server with Ollama's own endpoints and those it has in common with OpenAI. */
export class FakeOllama extends FakeServer {
  readonly replies = new Replies();
  readonly models: OllamaModels;

  constructor(private readonly settings: FakeOllamaOptions = {}) {
    super(settings);
    this.models = new OllamaModels(settings);
  }

  protected answer(request: RecordedRequest): Reply {
    const route = this.routes[request.path];
    if (request.path === "/")
      return wholeReply(200, "text/plain; charset=utf-8", "Ollama is running");
    if (!route) return ollamaErrors.pageNotFound();
    const [method, answer] = route;
    if (request.method !== method) return ollamaErrors.methodNotAllowed();
    if (method === "POST" && !request.body) return ollamaErrors.missingBody();
    if (method === "POST" && !request.json) return ollamaErrors.brokenJson();
    return answer(request.json ?? {});
  }

  private readonly routes: Record<string, [string, (body: Record<string, unknown>) => Reply]> = {
    "/api/version": ["GET", () => jsonReply(200, { version: this.settings.version ?? "0.17.4" })],
    "/api/tags": ["GET", () => jsonReply(200, { models: this.models.list() })],
    "/api/ps": ["GET", () => jsonReply(200, { models: this.models.listLoaded() })],
    "/api/show": ["POST", (body) => this.show(body)],
    "/api/pull": ["POST", (body) => this.pull(body)],
    "/api/embed": ["POST", (body) => this.embed(body)],
    "/api/chat": ["POST", (body) => this.chat(body)],
    "/v1/models": [
      "GET",
      () => jsonReply(200, { object: "list", data: this.models.listAsOpenAI() }),
    ],
    "/v1/chat/completions": ["POST", (body) => this.complete(body)],
  };

  private show(body: Record<string, unknown>): Reply {
    const name = String(body.model ?? "");
    const shown = this.models.show(name);
    return shown ? jsonReply(200, shown) : ollamaErrors.modelNotFound(name);
  }

  private pull(body: Record<string, unknown>): Reply {
    const name = String(body.model ?? "");
    const failure = "pull model manifest: file does not exist";
    if (name.startsWith("missing")) {
      if (body.stream === false) return jsonReply(500, { error: failure });
      const reply = linesReply([{ kind: "content", value: { status: "pulling manifest" } }]);
      return {
        ...reply,
        parts: [...reply.parts, { kind: "finish", bytes: reply.errorPart?.(failure) ?? "" }],
      };
    }
    this.models.add({ name });
    return body.stream === false ? jsonReply(200, { status: "success" }) : pullProgress();
  }

  private embed(body: Record<string, unknown>): Reply {
    const name = String(body.model ?? "");
    if (!this.models.find(name)) return ollamaErrors.modelNotFoundByScheduler(name);
    const inputs = ([body.input ?? []].flat() as string[]).filter((text) => text !== "");
    if (inputs.length === 0) return jsonReply(200, { model: name, embeddings: [] });
    return jsonReply(200, {
      model: name,
      embeddings: inputs.map((text) => [0.6, text.length % 2 ? 0.8 : -0.8, 0]),
      total_duration: 2_000_000,
      load_duration: 1_000_000,
      prompt_eval_count: inputs.length,
    });
  }

  private chat(body: Record<string, unknown>): Reply {
    const refusal = this.refusal(body);
    if (refusal) return refusal;
    const name = String(body.model);
    const messages = (body.messages ?? []) as unknown[];
    if (messages.length === 0 && body.keep_alive === 0) {
      this.models.unload(name);
      return jsonReply(200, lastLine(name, { done_reason: "unload" }));
    }
    const { loadedNow, contextLength } = this.models.load(name, body);
    const beforeHeadersMs = loadedNow ? (this.settings.loadMs ?? 0) : 0;
    if (messages.length === 0) {
      return { ...jsonReply(200, lastLine(name, { done_reason: "load" })), beforeHeadersMs };
    }
    const script = this.replies.take(body);
    if (script.recording) return recordedReply(`ollama/${script.recording}`);
    const promptTokens = script.promptTokens ?? countTokens(messages);
    if (promptTokens > contextLength && body.truncate === false) {
      return this.settings.version === "0.33.0"
        ? ollamaErrors.overflowOfLlamaServer()
        : ollamaErrors.overflow();
    }
    if (body.keep_alive === 0) this.models.unload(name);
    const reply = this.speak(script, body, Math.min(promptTokens, contextLength));
    return { ...reply, beforeHeadersMs };
  }

  private speak(script: ScriptedReply, body: Record<string, unknown>, promptTokens: number): Reply {
    const options = (body.options ?? {}) as { num_predict?: number; stop?: string[] };
    const thinks = this.models.can(String(body.model), "thinking") && body.think !== false;
    const said = spoken(thinks ? script : { ...script, reasoning: [] }, {
      // Zero and less mean without a limit.
      maxTokens: (options.num_predict ?? 0) > 0 ? options.num_predict : undefined,
      stop: options.stop,
    });
    const chat = chatStream(String(body.model), said, promptTokens, body);
    return body.stream === false ? chatCompletion(chat) : linesReply(chat);
  }

  private refusal(body: Record<string, unknown>): Reply | undefined {
    const { model, think, tools, top_logprobs, format, keep_alive } = body;
    if (keepAliveSeconds(keep_alive) === undefined) {
      return ollamaErrors.badKeepAlive(String(keep_alive));
    }
    if (Number(top_logprobs ?? 0) > 20) return ollamaErrors.tooManyLogprobs();
    if (!model) return ollamaErrors.modelRequired();
    const name = String(model);
    if (!this.models.find(name)) return ollamaErrors.modelNotFound(name);
    if (think && !this.models.can(name, "thinking")) return ollamaErrors.noThinking(name);
    if (!this.models.can(name, "completion")) return ollamaErrors.noChat(name);
    if (Array.isArray(tools) && tools.length > 0 && !this.models.can(name, "tools")) {
      return ollamaErrors.noTools(name);
    }
    if (typeof think === "string" && !name.startsWith("gpt-oss"))
      return ollamaErrors.noThinkingLevel(think);
    if (typeof format === "string" && !["", "json"].includes(format))
      return ollamaErrors.badFormat(format);
    return undefined;
  }

  /** The endpoint of OpenAI: the same reply in other words. */
  private complete(body: Record<string, unknown>): Reply {
    const native = this.chat({
      ...body,
      options: { num_predict: body.max_tokens, stop: body.stop },
      stream: true,
    });
    return completionReply(native, body);
  }
}

function pullProgress(): Reply {
  const digest = `sha256:${"5e".repeat(32)}`;
  const pulling = { status: `pulling ${digest.slice(7, 19)}`, digest, total: 1000 };
  const steps = [
    { status: "pulling manifest" },
    pulling,
    { ...pulling, completed: 400 },
    { ...pulling, completed: 1000 },
    { status: "verifying sha256 digest" },
    { status: "writing manifest" },
  ];
  const parts = steps.map((value) => ({ kind: "content" as const, value }));
  return linesReply([...parts, { kind: "finish", value: { status: "success" } }]);
}
