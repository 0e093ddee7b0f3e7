import type { Batches } from "../batches.js";
import { ModelNotFoundError, ProtocolError } from "../errors.js";
import { type Fields, fieldsOf, listOf, textOf } from "../fields.js";
import { type CallOptions, HttpClient, type HttpSettings } from "../http/http-client.js";
import { readNdjson } from "../http/ndjson.js";
import { detailsOf, type Where } from "../http/where.js";
import { can, findByName, isRemote, nameOf } from "./model-info.js";

/** How to get a model for it. */
const PURPOSES = {
  completion: "ollama pull llama3.2",
  embedding: "ollama pull nomic-embed-text",
};

/** What a model is wanted for, in Ollama's words. */
export type Purpose = keyof typeof PURPOSES;

/** The calls of Ollama's API; what comes back is checked as far as it is used. */
export class OllamaServer {
  readonly url: string;
  readonly #http: HttpClient;

  constructor(settings: Omit<HttpSettings, "provider">) {
    // Others write the address with the path that all of Ollama's own have in common.
    const baseUrl = settings.baseUrl.replace(/\/api\/*$/, "");
    this.#http = new HttpClient({ provider: "ollama", ...settings, baseUrl });
    this.url = this.#http.url;
  }

  /** Posts JSON; resolves with the lines of the answer, in batches, when it has begun. */
  async postForLines(path: string, options: CallOptions): Promise<Batches<Uint8Array, unknown>> {
    const { chunks } = await this.#http.openStream(path, options);
    return readNdjson(chunks, this.where(options));
  }

  /** Names this server in errors. */
  where(options?: { model?: string; requestId?: string }): Where {
    return this.#http.where(options);
  }

  /** Posts JSON; gives back the answer. */
  async post(path: string, options: CallOptions): Promise<Fields> {
    return fieldsOf((await this.#http.requestJson("POST", path, options)).body);
  }

  async version(signal: AbortSignal): Promise<string> {
    const path = "/api/version";
    const { body, status } = await this.#http.requestJson("GET", path, { signal });
    return textOf(fieldsOf(body).version) ?? this.#isNotOllama(path, status);
  }

  /** The models on the server's disk. */
  models(signal: AbortSignal): Promise<Fields[]> {
    return this.#list("/api/tags", signal);
  }

  /** The models in the server's memory. */
  running(signal: AbortSignal): Promise<Fields[]> {
    return this.#list("/api/ps", signal);
  }

  /** Everything that the server tells of a model. */
  show(model: string, signal: AbortSignal): Promise<Fields> {
    return this.post("/api/show", { signal, model, body: { model } });
  }

  /** The model for requests that name none: one in memory, or else the first on the disk. */
  async findModel(purpose: Purpose, signal: AbortSignal): Promise<string> {
    const [models, running] = await Promise.all([this.models(signal), this.running(signal)]);
    // What nobody asked for should not leave this computer.
    const names = models
      .filter((entry) => !isRemote(entry))
      .flatMap((entry) => nameOf(entry) ?? []);
    const inMemory = names.filter((name) => findByName(running, name));
    for (const name of new Set([...inMemory, ...names])) {
      const told = can(findByName(models, name)!, purpose);
      if (told ?? (await this.#isAble(name, purpose, signal))) return name;
    }
    throw new ModelNotFoundError(`Ollama at ${this.url} has no model for ${purpose}.`, {
      ...detailsOf(this.where()),
      hint: `Get one, for example with \`${PURPOSES[purpose]}\`.`,
    });
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  /** A model that is listed, but whose files are gone, can do nothing. */
  async #isAble(model: string, purpose: Purpose, signal: AbortSignal): Promise<boolean> {
    try {
      return can(await this.show(model, signal), purpose) ?? true;
    } catch (error) {
      if (ModelNotFoundError.is(error)) return false;
      throw error;
    }
  }

  async #list(path: string, signal: AbortSignal): Promise<Fields[]> {
    const { body, status } = await this.#http.requestJson("GET", path, { signal });
    const { models } = fieldsOf(body);
    // Old versions say null where there are none.
    if (models === null || Array.isArray(models)) return listOf(models);
    return this.#isNotOllama(path, status);
  }

  #isNotOllama(path: string, status: number): never {
    throw new ProtocolError(`${this.url}${path} does not answer as Ollama does.`, {
      ...detailsOf(this.where()),
      status,
      code: "protocol",
      hint: "Check the address: something else may be listening there.",
    });
  }
}
