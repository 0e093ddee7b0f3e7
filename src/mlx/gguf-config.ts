import { ModelLoadError } from "../errors.js";
import { badGguf, type GgufHeader, readFloats } from "./gguf.js";
import { GgufMetadata } from "./gguf-metadata.js";
import { ROPE_FACTORS, weightTypeOf } from "./gguf-weights.js";
import type { Json } from "./json-file.js";

/** Architectures of GGUF by the `model_type` that reads them. */
const MODEL_TYPES: Record<string, string> = {
  llama: "llama",
  qwen2: "qwen2",
  qwen3: "qwen3",
  qwen3moe: "qwen3_moe",
};

/** Changes to the numbers that these models do not know. */
const REFUSED = ["logit_scale", "embedding_scale", "residual_scale", "attention.scale"];

/** Tokens that end a turn wherever a vocabulary has them. */
const TURN_ENDS = ["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|endoftext|>"];

/** What config.json would say of the model in a GGUF file. */
export async function configOfGguf(header: GgufHeader): Promise<Json> {
  const metadata = new GgufMetadata(header);
  const { architecture, modelType } = kindOf(metadata);
  const key = (name: string) => `${architecture}.${name}`;
  const number = (name: string) => metadata.number(key(name));
  const needed = (name: string) => metadata.need(number(name), key(name));
  const refused = REFUSED.find((name) => (number(name) ?? 0) !== 0);
  if (refused) throw unsupported(header.file, `has "${key(refused)}"`);

  const hiddenSize = needed("embedding_length");
  const heads = needed("attention.head_count");
  const headDim = number("attention.key_length") ?? hiddenSize / heads;
  checkHeads(header.file, headDim, [
    number("attention.value_length"),
    number("rope.dimension_count"),
  ]);
  const embedding = metadata.need(header.tensors.get("token_embd.weight"), "token_embd.weight");
  return {
    model_type: modelType,
    hidden_size: hiddenSize,
    num_hidden_layers: needed("block_count"),
    num_attention_heads: heads,
    num_key_value_heads: number("attention.head_count_kv") ?? heads,
    head_dim: headDim,
    intermediate_size: needed("feed_forward_length"),
    rms_norm_eps: needed("attention.layer_norm_rms_epsilon"),
    rope_theta: number("rope.freq_base") ?? 10_000,
    rope_scaling: await ropeScaling(header, metadata, architecture, headDim),
    max_position_embeddings: needed("context_length"),
    vocab_size: embedding.shape[0],
    tie_word_embeddings: !header.tensors.has("output.weight"),
    attention_bias: header.tensors.has("blk.0.attn_output.bias"),
    mlp_bias: header.tensors.has("blk.0.ffn_down.bias"),
    ...(modelType === "qwen3_moe" && expertsOf(needed)),
    ...quantizationOf(header),
    torch_dtype: weightTypeOf(header),
  };
}

/** What generation_config.json would say. */
export function generationConfigOfGguf(header: GgufHeader): Json {
  const metadata = new GgufMetadata(header);
  const ids = ["eos", "eot", "eom"].map((name) =>
    metadata.number(`tokenizer.ggml.${name}_token_id`),
  );
  const tokens = metadata.strings("tokenizer.ggml.tokens") ?? [];
  const ends = TURN_ENDS.map((token) => tokens.indexOf(token)).filter((id) => id >= 0);
  return {
    bos_token_id: metadata.number("tokenizer.ggml.bos_token_id"),
    eos_token_id: [...new Set([...ids.filter((id) => id !== undefined), ...ends])],
    top_k: metadata.number("general.sampling.top_k"),
    top_p: metadata.number("general.sampling.top_p"),
    min_p: metadata.number("general.sampling.min_p"),
  };
}

function kindOf(metadata: GgufMetadata): { architecture: string; modelType: string } {
  const name = "general.architecture";
  const architecture = metadata.need(metadata.text(name), name);
  const parts = metadata.number("split.count") ?? 1;
  if (parts > 1) throw unsupported(metadata.file, `is one of ${parts} parts of a model`);
  const modelType = Object.hasOwn(MODEL_TYPES, architecture) && MODEL_TYPES[architecture];
  if (!modelType) throw unsupported(metadata.file, `holds a model of the kind "${architecture}"`);
  if (architecture === "llama" && (metadata.number("llama.expert_count") ?? 0) > 0) {
    throw unsupported(metadata.file, 'holds a model of the kind "llama" with experts (Mixtral)');
  }
  return { architecture, modelType };
}

function unsupported(file: string, what: string): ModelLoadError {
  return new ModelLoadError(`${file} ${what}, which is not read from GGUF.`, {
    code: "unsupported_model_type",
    url: file,
    hint:
      `Whole GGUF files of the kinds ${Object.keys(MODEL_TYPES).join(", ")} are read. ` +
      "Choose the model in MLX format: mlx-community has most of them.",
  });
}

function checkHeads(file: string, headDim: number, others: (number | undefined)[]): void {
  if (others.every((size) => size === undefined || size === headDim)) return;
  throw unsupported(file, "has heads whose keys, values and rotations differ in size");
}

function expertsOf(needed: (name: string) => number): Json {
  return {
    num_experts: needed("expert_count"),
    num_experts_per_tok: needed("expert_used_count"),
    moe_intermediate_size: needed("expert_feed_forward_length"),
    norm_topk_prob: true,
    decoder_sparse_step: 1,
    mlp_only_layers: [],
  };
}

/** The packed shapes tell the engine more; this tells people, and that it is quantized at all. */
function quantizationOf({ tensors }: GgufHeader): Json {
  const bytes = new Map<number, number>();
  for (const { type, begin, end } of tensors.values()) {
    const bits = /^Q(\d)_/.exec(type)?.[1];
    if (bits) bytes.set(Number(bits), (bytes.get(Number(bits)) ?? 0) + end - begin);
  }
  const [most] = [...bytes].sort(([, a], [, b]) => b - a);
  if (!most) return {};
  return { quantization: { group_size: 32, bits: most[0] === 6 ? 8 : most[0], mode: "affine" } };
}

async function ropeScaling(
  header: GgufHeader,
  metadata: GgufMetadata,
  architecture: string,
  headDim: number,
): Promise<Json | null> {
  const factors = header.tensors.get(ROPE_FACTORS);
  if (factors) {
    const { type, shape } = factors;
    if (type !== "F32" || shape.length > 1 || shape[0] !== headDim / 2) {
      const wanted = `${headDim / 2} numbers of F32`;
      throw badGguf(header.file, `has "${ROPE_FACTORS}" that is not ${wanted}`);
    }
    const values = (await readFloats(header, factors)).map((value) => Number(value.toPrecision(7)));
    // Llama 3's own scaling, as the factors that it comes to.
    const context = metadata.number(`${architecture}.context_length`);
    return {
      rope_type: "longrope",
      long_factor: values,
      short_factor: values,
      original_max_position_embeddings: context,
    };
  }
  const scaling = (name: string) => `${architecture}.rope.scaling.${name}`;
  const type = metadata.text(scaling("type")) ?? "none";
  const factor = metadata.number(scaling("factor"));
  if (type === "none" || (type === "linear" && (factor ?? 0) === 0)) return null;
  if (type === "linear") return { rope_type: type, factor };
  if (type !== "yarn") throw unsupported(header.file, `has positions scaled by "${type}"`);
  const original = metadata.number(scaling("original_context_length"));
  return { rope_type: type, factor, original_max_position_embeddings: original };
}
