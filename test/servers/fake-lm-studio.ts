import { FakeServer, type FakeServerOptions, type RecordedRequest } from "./fake-server.js";
import { OVERFLOW, lmStudioErrorEvent, lmStudioErrors } from "./lm-studio-errors.js";
import { type LmStudioModel, LmStudioModels } from "./lm-studio-models.js";
import { chatEvents, chatObject } from "./lm-studio-wire.js";
import { Replies, type ScriptedReply, countTokens, spoken } from "./scripted-replies.js";
import { type Reply, jsonReply } from "./wire-reply.js";
import { recordedReply } from "./wire-fixtures.js";

/** What a fake LM Studio is to be. */
export interface FakeLmStudioOptions extends FakeServerOptions {
  /** 0.4 has /api/v1 and /api/v0, 0.3 only /api/v0, 0.2 neither. */
  version?: "0.4" | "0.3" | "0.2";
  /** A token that every request must carry. */
  token?: string;
  models?: LmStudioModel[];
  /** The models loaded from the start; none unless told. */
  loaded?: string[];
  /** Whether a request loads the model it names; it does unless told. */
  justInTime?: boolean;
  /** How long loading a model takes. */
  loadMs?: number;
  reasoningField?: "reasoning_content" | "reasoning";
  /** How many times a download is reported as unfinished; once unless told. */
  downloadSteps?: number;
}

type Body = Record<string, unknown>;

/** Starts a fake LM Studio; it speaks as its documentation says, and fails on demand. */
export function startFakeLmStudio(options: FakeLmStudioOptions = {}): Promise<FakeLmStudio> {
  return new FakeLmStudio(options).start();
}

/** A token of the form that LM Studio hands out. */
export const LM_STUDIO_TOKEN = "sk-lm-aBcDeFgH:abcdefghij0123456789";

/** A server with the endpoints of LM Studio. */
export class FakeLmStudio extends FakeServer {
  readonly replies = new Replies();
  readonly models: LmStudioModels;
  private readonly downloads = new Map<string, { model: string; stepsLeft: number }>();

  constructor(private readonly settings: FakeLmStudioOptions = {}) {
    super(settings);
    this.models = new LmStudioModels(settings.models, settings.loaded);
  }

  protected answer(request: RecordedRequest): Reply {
    const reply = this.answerOf(request);
    const headers = { "X-Powered-By": "Express", "Keep-Alive": "timeout=5" };
    return { ...reply, headers: { ...headers, ...reply.headers } };
  }

  private answerOf(request: RecordedRequest): Reply {
    const { method, path, json } = request;
    if (path === "/lmstudio-greeting") return jsonReply(200, { lmstudio: true });
    const refusal = this.refusal(request);
    if (refusal) return refusal;
    const model = path.match(/^\/api\/v0\/models\/(.+)$/)?.[1];
    const job = path.match(/^\/api\/v1\/models\/download\/status\/(.+)$/)?.[1];
    const answer = this.routes[`${method} ${path}`];
    if (!this.knows(path)) return lmStudioErrors.unexpectedEndpoint(`${method} ${path}`);
    if (method === "GET" && model) return this.describeOld(decodeURIComponent(model));
    if (method === "GET" && job) return this.downloadStatus(job);
    return answer?.(json ?? {}) ?? lmStudioErrors.unexpectedEndpoint(`${method} ${path}`);
  }

  private knows(path: string): boolean {
    const { version = "0.4" } = this.settings;
    if (path.startsWith("/api/v1")) return version === "0.4";
    return version !== "0.2" || !path.startsWith("/api/v0");
  }

  private readonly routes: Record<string, (body: Body) => Reply> = {
    "GET /v1/models": () =>
      jsonReply(200, {
        data: this.models.listAsOpenAI(this.settings.justInTime ?? true),
        object: "list",
      }),
    "GET /api/v0/models": () =>
      jsonReply(200, {
        data: this.models.models.map((model) => this.models.describeOld(model)),
        object: "list",
      }),
    "GET /api/v1/models": () =>
      jsonReply(200, { models: this.models.models.map((model) => this.models.describe(model)) }),
    "POST /api/v1/models/load": (body) => this.load(body),
    "POST /api/v1/models/unload": (body) => this.unload(body),
    "POST /api/v1/models/download": (body) => this.download(body),
    "POST /v1/chat/completions": (body) => this.chat(body),
    "POST /v1/embeddings": (body) => this.embed(body),
  };

  private refusal({ headers }: RecordedRequest): Reply | undefined {
    const { token } = this.settings;
    if (!token || headers.authorization === `Bearer ${token}`) return undefined;
    const given = headers.authorization?.replace(/^Bearer /, "");
    return given ? lmStudioErrors.malformedToken(given) : lmStudioErrors.missingToken();
  }

  private describeOld(id: string): Reply {
    const model = this.models.find(id);
    return model
      ? jsonReply(200, this.models.describeOld(model))
      : lmStudioErrors.modelNotFound(id);
  }

  private load(body: Body): Reply {
    const id = String(body.model);
    if (!this.models.find(id)) return lmStudioErrors.modelNotFound(id);
    this.models.load(id, body.context_length as number | undefined);
    const type = this.models.find(id)?.type === "embeddings" ? "embedding" : "llm";
    const config = { context_length: this.models.contextOf(id) };
    const reply = jsonReply(200, {
      type,
      instance_id: id,
      load_time_seconds: (this.settings.loadMs ?? 0) / 1000,
      status: "loaded",
      ...(body.echo_load_config === true && { load_config: config }),
    });
    return { ...reply, beforeHeadersMs: this.settings.loadMs };
  }

  private unload(body: Body): Reply {
    const id = String(body.instance_id);
    return this.models.unload(id)
      ? jsonReply(200, { instance_id: id })
      : lmStudioErrors.modelNotFound(id);
  }

  private download(body: Body): Reply {
    const model = String(body.model);
    if (this.models.find(model)) return jsonReply(200, { status: "already_downloaded" });
    const job_id = `job_${String(this.downloads.size).padStart(10, "0")}`;
    this.downloads.set(job_id, { model, stepsLeft: this.settings.downloadSteps ?? 1 });
    return jsonReply(200, { job_id, status: "downloading", ...DOWNLOAD, downloaded_bytes: 948 });
  }

  private downloadStatus(job_id: string): Reply {
    const job = this.downloads.get(job_id);
    if (!job) return jsonReply(404, { error: { type: "not_found", message: "Job not found" } });
    if (job.model.startsWith("missing"))
      return jsonReply(200, { job_id, status: "failed", ...DOWNLOAD });
    if (job.stepsLeft-- > 0) {
      const running = { downloaded_bytes: 500, bytes_per_second: 7834.7 };
      return jsonReply(200, { job_id, status: "downloading", ...DOWNLOAD, ...running });
    }
    this.models.add(job.model);
    const completed = { downloaded_bytes: 1000, completed_at: DOWNLOAD.started_at };
    return jsonReply(200, { job_id, status: "completed", ...DOWNLOAD, ...completed });
  }

  private chat(body: Body): Reply {
    const asked = String(body.model ?? "");
    const served = this.servedModel(asked);
    if (typeof served !== "string") return served;
    const beforeContentMs = this.models.isLoaded(served) ? 0 : (this.settings.loadMs ?? 0);
    if (!this.models.isLoaded(served)) this.models.loadJustInTime(served);
    const script = this.replies.take(body);
    if (script.recording) return recordedReply(`lm-studio/${script.recording}`);
    const promptTokens = script.promptTokens ?? countTokens(body.messages);
    if (promptTokens > this.models.contextOf(served)) return overflow(body.stream === true);
    const settings = {
      model: served,
      promptTokens,
      cachedTokens: script.cachedTokens,
      includeUsage: (body.stream_options as { include_usage?: boolean })?.include_usage ?? false,
      reasoningField: this.settings.reasoningField ?? ("reasoning_content" as const),
      beforeContentMs,
    };
    const said = this.speak(script, body);
    return body.stream ? chatEvents(said, settings) : chatObject(said, settings);
  }

  private speak(script: ScriptedReply, body: Body) {
    const limit = body.max_tokens as number | undefined;
    return spoken(script, {
      maxTokens: limit !== undefined && limit >= 0 ? limit : undefined,
      stop: [body.stop ?? []].flat() as string[],
    });
  }

  /** The model that answers: an unknown name is answered by whatever is loaded, if that is one. */
  private servedModel(asked: string): string | Reply {
    if (this.models.isLoaded(asked)) return asked;
    const loaded = this.models.loadedChats();
    const { justInTime = true } = this.settings;
    if (justInTime && this.models.find(asked)) return asked;
    if (loaded.length === 1) return loaded[0]!;
    if (loaded.length === 0 && !justInTime) return lmStudioErrors.nothingLoaded();
    return lmStudioErrors.modelNotFound(asked);
  }

  private embed(body: Body): Reply {
    const model = String(body.model);
    if (this.models.find(model)?.type !== "embeddings") return lmStudioErrors.modelNotFound(model);
    const inputs = [body.input ?? []].flat() as string[];
    const data = inputs.map((text, index) => ({
      object: "embedding",
      embedding: [0.6, text.length % 2 ? 0.8 : -0.8, 0],
      index,
    }));
    return jsonReply(200, {
      object: "list",
      data,
      model,
      usage: { prompt_tokens: 0, total_tokens: 0 },
    });
  }
}

const DOWNLOAD = { total_size_bytes: 1000, started_at: "2026-01-02T03:04:05.678Z" };

function overflow(stream: boolean): Reply {
  if (!stream) return lmStudioErrors.overflow();
  return {
    status: 200,
    headers: { "Content-Type": "text/event-stream" },
    parts: [{ kind: "start", bytes: lmStudioErrorEvent(OVERFLOW) }],
    streamed: true,
  };
}
