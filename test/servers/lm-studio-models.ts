/** A model of a fake LM Studio. */
export interface LmStudioModel {
  id: string;
  type?: "llm" | "vlm" | "embeddings";
  format?: "mlx" | "gguf";
  contextLength?: number;
  tools?: boolean;
  reasoning?: boolean;
}

const DEFAULT_MODELS: LmStudioModel[] = [
  { id: "tiny-chat", format: "mlx", tools: true },
  { id: "tiny-reasoner", format: "gguf", reasoning: true },
  { id: "tiny-vision", type: "vlm", format: "mlx" },
  { id: "text-embedding-tiny", type: "embeddings", contextLength: 2048 },
];

const DEFAULT_CONTEXT = 4096;

/** The models of a fake LM Studio, and which of them are loaded. */
export class LmStudioModels {
  readonly models: Required<LmStudioModel>[];
  private readonly loaded = new Map<string, { contextLength: number; justInTime: boolean }>();

  constructor(models: LmStudioModel[] = DEFAULT_MODELS, loaded: string[] = []) {
    this.models = models.map((model) => ({ ...EMPTY, ...model }));
    for (const id of loaded) this.load(id);
  }

  find(id: string): Required<LmStudioModel> | undefined {
    return this.models.find((model) => model.id === id);
  }

  add(id: string): void {
    if (!this.find(id)) this.models.push({ ...EMPTY, id });
  }

  isLoaded(id: string): boolean {
    return this.loaded.has(id);
  }

  contextOf(id: string): number {
    return this.loaded.get(id)?.contextLength ?? DEFAULT_CONTEXT;
  }

  /** The loaded models that can chat. */
  loadedChats(): string[] {
    return [...this.loaded.keys()].filter((id) => this.find(id)?.type !== "embeddings");
  }

  load(id: string, contextLength = DEFAULT_CONTEXT): void {
    this.loaded.set(id, { contextLength, justInTime: false });
  }

  /** Loads a model for a request; the one that was loaded so before has to go. */
  loadJustInTime(id: string): void {
    for (const [other, { justInTime }] of this.loaded) {
      if (justInTime && this.sameKind(other, id)) this.loaded.delete(other);
    }
    this.loaded.set(id, { contextLength: DEFAULT_CONTEXT, justInTime: true });
  }

  unload(id: string): boolean {
    return this.loaded.delete(id);
  }

  /** As /v1/models lists them: all where models are loaded on demand, else the loaded ones. */
  listAsOpenAI(all: boolean): object[] {
    return this.models
      .filter(({ id }) => all || this.isLoaded(id))
      .map(({ id }) => ({ id, object: "model", owned_by: "organization_owner" }));
  }

  /** As /api/v0/models describes one. */
  describeOld(model: Required<LmStudioModel>): object {
    const { id, type, format, contextLength, tools } = model;
    return {
      id,
      object: "model",
      type,
      publisher: "tests",
      arch: type === "embeddings" ? "nomic-bert" : "qwen2",
      compatibility_type: format,
      quantization: format === "mlx" ? "4bit" : "Q4_K_M",
      state: this.isLoaded(id) ? "loaded" : "not-loaded",
      max_context_length: contextLength,
      ...(this.isLoaded(id) && { loaded_context_length: this.contextOf(id) }),
      ...(tools && { capabilities: ["tool_use"] }),
    };
  }

  /** As /api/v1/models describes one. */
  describe(model: Required<LmStudioModel>): object {
    const { id, type, format, contextLength, tools, reasoning } = model;
    const config = { context_length: this.contextOf(id), parallel: 4 };
    const common = {
      publisher: "tests",
      key: id,
      display_name: id,
      quantization: format === "mlx" ? FOUR_BITS : { name: "Q4_K_M", bits_per_weight: 4 },
      size_bytes: 241_410_208,
      params_string: "270M",
      loaded_instances: this.isLoaded(id) ? [{ id, config }] : [],
      max_context_length: contextLength,
      format,
    };
    if (type === "embeddings") return { type: "embedding", ...common };
    return {
      type: "llm",
      ...common,
      architecture: "qwen2",
      capabilities: {
        vision: type === "vlm",
        trained_for_tool_use: tools,
        ...(reasoning && { reasoning: { allowed_options: ["off", "on"], default: "on" } }),
      },
      description: null,
    };
  }

  private sameKind(one: string, other: string): boolean {
    const embeds = (id: string) => this.find(id)?.type === "embeddings";
    return embeds(one) === embeds(other);
  }
}

const FOUR_BITS = { name: "4bit", bits_per_weight: 4 };
const EMPTY = {
  type: "llm",
  format: "gguf",
  contextLength: 32_768,
  tools: false,
  reasoning: false,
} as const;
