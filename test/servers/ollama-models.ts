import { withTag } from "./ollama-errors.js";

/** A model of a fake Ollama. */
export interface OllamaModel {
  name: string;
  /** What it can do; completion unless told. */
  capabilities?: string[];
  /** The longest context it was trained for. */
  contextLength?: number;
}

const DEFAULT_MODELS: OllamaModel[] = [
  { name: "tiny:latest" },
  { name: "tiny-tools:latest", capabilities: ["completion", "tools"] },
  { name: "tiny-thinking:latest", capabilities: ["completion", "thinking"] },
  // The one family whose thinking has levels.
  { name: "gpt-oss:latest", capabilities: ["completion", "tools", "thinking"] },
  { name: "tiny-embed:latest", capabilities: ["embedding"], contextLength: 256 },
];

const MODIFIED = "2026-01-02T03:04:05.678901234Z";
const FIVE_MINUTES = 300;

/** The models of a fake Ollama, and which of them are loaded. */
export class OllamaModels {
  private readonly models: Required<OllamaModel>[] = [];
  private readonly loaded = new Map<string, { contextLength: number; expires: Date }>();

  constructor(
    private readonly settings: { models?: OllamaModel[]; version?: string; contextLength?: number },
  ) {
    for (const model of settings.models ?? DEFAULT_MODELS) this.add(model);
  }

  add(model: OllamaModel): void {
    const filled = { capabilities: ["completion"], contextLength: 512, ...model };
    this.models.push({ ...filled, name: withTag(model.name) });
  }

  find(name: string): Required<OllamaModel> | undefined {
    return this.models.find((model) => model.name === withTag(name));
  }

  can(name: string, capability: string): boolean {
    return this.find(name)?.capabilities.includes(capability) ?? false;
  }

  isLoaded(name: string): boolean {
    return this.loaded.has(withTag(name));
  }

  /** Loads a model as a request wants it; another context means loading it anew. */
  load(name: string, body: Record<string, unknown>): { loadedNow: boolean; contextLength: number } {
    const model = this.find(name)!;
    const options = (body.options ?? {}) as { num_ctx?: number };
    const earlier = this.loaded.get(model.name)?.contextLength;
    const wanted = options.num_ctx ?? this.settings.contextLength ?? 4096;
    const contextLength = Math.min(wanted, model.contextLength);
    this.loaded.set(model.name, {
      contextLength,
      expires: expiry(keepAliveSeconds(body.keep_alive) ?? 0),
    });
    return { loadedNow: earlier !== contextLength, contextLength };
  }

  unload(name: string): void {
    this.loaded.delete(withTag(name));
  }

  list(): object[] {
    return this.models.map((model) => ({
      name: model.name,
      model: model.name,
      modified_at: MODIFIED,
      size: 995_379,
      digest: "f4".repeat(32),
      details: this.details(model),
      ...(this.settings.version === "0.33.0" && { capabilities: model.capabilities }),
    }));
  }

  listLoaded(): object[] {
    return [...this.loaded].map(([name, { contextLength, expires }]) => ({
      name,
      model: name,
      size: 945_920,
      digest: "f4".repeat(32),
      details: DETAILS,
      expires_at: expires.toISOString(),
      size_vram: 0,
      context_length: contextLength,
    }));
  }

  listAsOpenAI(): object[] {
    const created = Math.floor(Date.parse(MODIFIED) / 1000);
    return this.models.map(({ name }) => ({
      id: name,
      object: "model",
      created,
      owned_by: "library",
    }));
  }

  show(name: string): object | undefined {
    const model = this.find(name);
    if (!model) return undefined;
    return {
      modelfile: `FROM ${model.name}\n`,
      template: "{{ .Prompt }}",
      details: DETAILS,
      model_info: {
        "general.architecture": "llama",
        "general.parameter_count": 492_480,
        "llama.context_length": model.contextLength,
        "llama.embedding_length": 320,
      },
      capabilities: model.capabilities,
      modified_at: MODIFIED,
    };
  }

  private details(model: Required<OllamaModel>): object {
    if (this.settings.version !== "0.33.0") return DETAILS;
    return { ...DETAILS, context_length: model.contextLength, embedding_length: 320 };
  }
}

const DETAILS = {
  parent_model: "",
  format: "gguf",
  family: "llama",
  families: ["llama"],
  parameter_size: "492K",
  quantization_level: "F16",
};

/** A time to stay loaded in seconds: a number, or text such as "5m"; undefined if it is neither. */
export function keepAliveSeconds(value: unknown): number | undefined {
  if (value === undefined || typeof value === "number") return value ?? FIVE_MINUTES;
  const [, amount, unit] = /^(-?[\d.]+)(ms|s|m|h)$/.exec(String(value)) ?? [];
  return unit ? Number(amount) * { ms: 0.001, s: 1, m: 60, h: 3600 }[unit]! : undefined;
}

function expiry(seconds: number): Date {
  // Ollama's word for never lies some centuries ahead.
  return new Date(seconds < 0 ? "2318-01-01T00:00:00Z" : Date.now() + seconds * 1000);
}
