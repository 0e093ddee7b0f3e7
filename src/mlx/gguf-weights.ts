import { badGguf, type GgufHeader, type GgufTensor } from "./gguf.js";
import { GgufMetadata } from "./gguf-metadata.js";
import type { NativeGguf } from "./native-types.js";
import type { WeightType } from "../quantize.js";

/** Names of tensors outside of the layers. */
const OUTER: Record<string, string> = {
  "token_embd.weight": "model.embed_tokens.weight",
  "output_norm.weight": "model.norm.weight",
  "output.weight": "lm_head.weight",
};
const INNER: Record<string, string> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
  ffn_gate_inp: "mlp.gate",
  ffn_gate_exps: "mlp.switch_mlp.gate_proj",
  ffn_up_exps: "mlp.switch_mlp.up_proj",
  ffn_down_exps: "mlp.switch_mlp.down_proj",
};
/** It is a part of the configuration. */
export const ROPE_FACTORS = "rope_freqs.weight";
/** Types that are not packed, as safetensors names them too, and their bytes. */
const DENSE: Record<string, number> = { F32: 4, F16: 2, BF16: 2 };

/** The tensors of a GGUF file as the engine reads them: under the names of checkpoints. */
export function weightsOfGguf(header: GgufHeader): NativeGguf {
  const entries: Record<string, object> = {};
  const tensors: NativeGguf["tensors"] = {};
  const heads = turnedHeads(header);
  for (const [ownName, tensor] of header.tensors) {
    if (ownName === ROPE_FACTORS) continue;
    const name = nameOf(header.file, ownName);
    entries[name] = entryOf(header.file, ownName, tensor);
    const own = heads.get(/\.(attn_[qk])\./.exec(ownName)?.[1] ?? "");
    if (own !== undefined && tensor.shape[0]! % (2 * own) !== 0) {
      throw badGguf(header.file, `has "${ownName}" whose rows are no ${own} heads`);
    }
    tensors[name] = { type: tensor.type, ...(own && { heads: own }) };
  }
  const { file, dataOffset } = header;
  return {
    file,
    dataOffset,
    header: JSON.stringify(entries),
    tensors,
    dtype: weightTypeOf(header),
  };
}

/** Bytes that the weights take once they are loaded. */
export function loadedBytes(header: GgufHeader): number {
  const bytes = weightTypeOf(header) === "float32" ? 4 : 2;
  let total = 0;
  for (const [name, { type, shape }] of header.tensors) {
    if (name === ROPE_FACTORS) continue;
    const count = shape.reduce((product, size) => product * size, 1);
    // Each 32 numbers have a scale and a bias of 16 bits.
    total += isDense(type) ? count * bytes : (count * (packedBits(type) + 1)) / 8;
  }
  return total;
}

/** The type that most of the bytes have. */
export function mainType({ tensors }: GgufHeader): string {
  const bytes = new Map<string, number>();
  for (const { type, begin, end } of tensors.values()) {
    bytes.set(type, (bytes.get(type) ?? 0) + end - begin);
  }
  return [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? "F32";
}

/** Numbers in all tensors. */
export function parametersOf({ tensors }: GgufHeader): number {
  const counts = [...tensors.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The type that all tensors take that are not packed: if they differed, MLX would use float32. */
export function weightTypeOf({ tensors }: GgufHeader): WeightType {
  const types = new Set([...tensors.values()].map(({ type }) => type));
  const others = [...types].filter((type) => type !== "F32");
  if (others.length === 0) return "float32";
  return others.length === 1 && types.has("BF16") ? "bfloat16" : "float16";
}

function isDense(type: string): boolean {
  return Object.hasOwn(DENSE, type);
}

/** As native/gguf.h packs them. */
function packedBits(type: string): number {
  return type === "Q6_K" ? 8 : Number(type[1]);
}

/** Files of the kind "llama" have the rows of queries and keys in another order, head by head. */
function turnedHeads(header: GgufHeader): Map<string, number> {
  const metadata = new GgufMetadata(header);
  if (metadata.text("general.architecture") !== "llama") return new Map();
  const queries = metadata.number("llama.attention.head_count") ?? 1;
  const keys = metadata.number("llama.attention.head_count_kv") ?? queries;
  return new Map([
    ["attn_q", queries],
    ["attn_k", keys],
  ]);
}

function nameOf(file: string, name: string): string {
  if (Object.hasOwn(OUTER, name)) return OUTER[name]!;
  const [, layer, part = "", end] = /^blk\.(\d{1,6})\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (!Object.hasOwn(INNER, part)) throw badGguf(file, `has the unknown tensor "${name}"`);
  return `model.layers.${Number(layer)}.${INNER[part]}.${end}`;
}

function entryOf(file: string, name: string, { type, shape, begin, end }: GgufTensor): object {
  const offsets = { data_offsets: [begin, end] };
  if (isDense(type)) return { dtype: type, shape, ...offsets };
  if (shape.length < 2 || shape.length > 3 || !name.endsWith(".weight")) {
    throw badGguf(file, `has "${name}" packed, which is no matrix`);
  }
  const outer = shape.slice(0, -1);
  const rows = outer.reduce((product, size) => product * size, 1);
  return { dtype: "U8", shape: [...outer, (end - begin) / rows], ...offsets };
}
