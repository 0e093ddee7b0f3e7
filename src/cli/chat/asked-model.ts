import type { LLMClient, LLMError, LLMRequest } from "../../index.js";
import { openClient } from "../client.js";
import { NotReadyError } from "../exit-codes.js";
import { type CommonOptions, splitName } from "../flags.js";
import type { Io } from "../io.js";
import type { Progress } from "../progress.js";
import { cellText } from "../table.js";

/** How a chat's model is reached, and what is asked of it each time. */
export interface AskedOptions extends CommonOptions {
  request: Omit<LLMRequest, "messages">;
}

/** The model that a chat asks. */
export class AskedModel {
  readonly #options: AskedOptions;
  readonly #io: Io;
  readonly #progress: Progress;
  #client: LLMClient | undefined;
  #model: string | undefined;
  /** As people call it. */
  name = "";

  constructor(options: AskedOptions, io: Io, progress: Progress) {
    this.#options = options;
    this.#io = io;
    this.#progress = progress;
  }

  get client(): LLMClient {
    if (!this.#client) throw new Error("The chat has not been opened.");
    return this.#client;
  }

  /** What every request says. */
  get request(): Omit<LLMRequest, "messages"> {
    const { request } = this.#options;
    return this.#model === undefined ? request : { ...request, model: this.#model };
  }

  /** Fails if nobody could answer. */
  async open(sources = this.#options.sources): Promise<void> {
    const client = await openClient({ ...this.#options, sources }, this.#io, this.#progress.config);
    try {
      this.name = await this.#check(client, sources.flags.model);
    } catch (error) {
      await client.close();
      throw error;
    }
    await this.close();
    this.#client = client;
    this.#model = undefined;
  }

  /** Fails if there is no such model; then the one before goes on answering. */
  async change(name: string): Promise<void> {
    const { provider, model } = splitName(name);
    const { sources } = this.#options;
    if (provider !== undefined && !this.name.startsWith(`${provider}:`)) {
      const { baseUrl: _itsAddress, ...flags } = sources.flags;
      return this.open({ ...sources, flags: { ...flags, provider, model } });
    }
    await showIfPossible(this.client, model, this.#io.signal);
    this.#model = model;
    this.name = `${this.name.slice(0, this.name.indexOf(":"))}:${model}`;
  }

  async close(): Promise<void> {
    await this.#client?.close();
  }

  async #check(client: LLMClient, model: string | undefined): Promise<string> {
    const { adapter, quantize } = this.#options.request.providerOptions?.mlx ?? {};
    if (model !== undefined && (adapter ?? quantize) !== undefined) {
      // A test of its health would load the model in another way than it is wanted.
      await showIfPossible(client, model, this.#io.signal);
      return `mlx:${model}`;
    }
    const report = await client.health();
    this.#io.signal.throwIfAborted();
    // A model may take longer to load than a server may be silent.
    const ready = report.providers.findIndex(({ healthy, code }) => healthy || code === "timeout");
    if (ready < 0) throw new NotReadyError(report);
    for (const { provider, reason } of report.providers.slice(0, ready)) {
      await this.#io.stderr.write(`note: ${provider}: ${cellText(reason)}\n`);
    }
    const { provider, model: found = model } = report.providers[ready]!;
    return found === undefined ? `${provider}:` : `${provider}:${found}`;
  }
}

/** Not every server can show a model. */
async function showIfPossible(
  client: LLMClient,
  model: string,
  signal: AbortSignal,
): Promise<void> {
  await client.showModel(model, { signal }).catch((error: LLMError) => {
    if (error.code !== "unsupported") throw error;
  });
}
