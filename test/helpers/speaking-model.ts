import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeSafetensors } from "./safetensors-file.js";

/** What a model says, piece by piece, when its prompt ends with a token. */
export interface Script {
  /** One of `special`, or a character. */
  after: string;
  pieces: string[];
}

/** A model that says what it is told to. */
export interface SpeakingModel {
  template: string;
  scripts: Script[];
  /** Tokens that stand for no text; pieces that are one of them are that token, the first time. */
  special?: string[];
  /** Tokens like them that do stand for text. */
  added?: string[];
  config?: Record<string, unknown>;
}

const END = "<|end_of_script|>";
const CHARACTERS = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
/** Makes tokens of the same text different; the decoder takes it away. */
const REPEATED = "\uE000";

/**
 * Writes a tiny llama that says its scripts: each token is a direction of its own, the layer adds
 * nothing, and the output layer turns each into the next one.
 */
export async function makeSpeakingModel(folder: string, model: SpeakingModel): Promise<string> {
  const { template, scripts, special = [], added = [], config = {} } = model;
  const own = [...special, ...added];
  const tokens = ["<unk>", "\n", ...CHARACTERS, ...own, END];
  const next = new Map<number, number>();
  const used = new Set<string>();
  for (const { after, pieces } of scripts) {
    let token = tokens.indexOf(after);
    for (const piece of pieces) {
      const isToken = own.includes(piece) && !used.has(piece);
      used.add(piece);
      const following = isToken ? tokens.indexOf(piece) : addToken(tokens, piece);
      next.set(token, following);
      token = following;
    }
    next.set(token, tokens.indexOf(END));
  }
  await mkdir(folder, { recursive: true });
  const files = {
    "config.json": { ...configOf(tokens), ...config, eos_token_id: tokens.indexOf(END) },
    "tokenizer.json": tokenizerOf(tokens, ["<unk>", ...special, END], added),
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      chat_template: template,
      eos_token: END,
    },
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), JSON.stringify(content));
  }
  await writeWeights(folder, tokens.length, next);
  return folder;
}

/** A template that writes tools and messages in a plain way, and ends with a token. */
export function plainTemplate(dialect: string, end: string, afterTool = end): string {
  return (
    `{% if tools %}{{ tools | tojson }}{% endif %}{# ${dialect} #}` +
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n" +
    "{% for call in message.tool_calls or [] %}{{ call.function | tojson }}\n{% endfor %}{% endfor %}" +
    `{% if add_generation_prompt %}{% if messages[-1].role == 'tool' %}${afterTool}` +
    `{% else %}${end}{% endif %}{% endif %}`
  );
}

function addToken(tokens: string[], piece: string): number {
  let name = piece + REPEATED;
  while (tokens.includes(name)) name += REPEATED;
  return tokens.push(name) - 1;
}

function configOf(tokens: string[]): Record<string, unknown> {
  return {
    model_type: "llama",
    hidden_size: tokens.length,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    head_dim: 8,
    rms_norm_eps: 1e-5,
    max_position_embeddings: 4096,
    tie_word_embeddings: false,
    vocab_size: tokens.length,
  };
}

function tokenizerOf(
  tokens: string[],
  special: string[],
  added: string[],
): Record<string, unknown> {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
  return {
    version: "1.0",
    added_tokens: [...special, ...added].map((content) => ({
      id: tokens.indexOf(content),
      content,
      special: special.includes(content),
      ...flags,
    })),
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [{ type: "Replace", pattern: { String: REPEATED }, content: "" }, { type: "Fuse" }],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: [],
    },
  };
}

async function writeWeights(
  folder: string,
  size: number,
  next: ReadonlyMap<number, number>,
): Promise<void> {
  const embeddings = new Float32Array(size * size);
  const output = new Float32Array(size * size);
  for (let token = 0; token < size; token++) {
    embeddings[token * size + token] = 1;
    // Far enough from the others for any temperature.
    output[(next.get(token) ?? size - 1) * size + token] = 100;
  }
  const tensors: Record<string, [shape: number[], data: Float32Array]> = {
    "model.embed_tokens.weight": [[size, size], embeddings],
    "lm_head.weight": [[size, size], output],
    "model.norm.weight": [[size], new Float32Array(size).fill(1)],
  };
  const zeros = (name: string, ...shape: number[]) => {
    const length = shape.reduce((product, side) => product * side, 1);
    tensors[`model.layers.0.${name}.weight`] = [shape, new Float32Array(length)];
  };
  for (const name of ["q_proj", "k_proj", "v_proj"]) zeros(`self_attn.${name}`, 8, size);
  zeros("self_attn.o_proj", size, 8);
  for (const name of ["gate_proj", "up_proj"]) zeros(`mlp.${name}`, 8, size);
  zeros("mlp.down_proj", size, 8);
  for (const name of ["input_layernorm", "post_attention_layernorm"]) zeros(name, size);
  let end = 0;
  const header = Object.entries(tensors).map(([name, [shape, { byteLength }]]) => {
    const begin = end;
    end += byteLength;
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] }] as const;
  });
  const data = Object.values(tensors).map(([, { buffer }]) => new Uint8Array(buffer));
  const file = join(folder, "model.safetensors");
  await writeSafetensors(file, Object.fromEntries(header), Buffer.concat(data));
}
