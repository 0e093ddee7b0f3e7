import { cp, mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSafetensors } from "./safetensors-file.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/models", import.meta.url));
const TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}";

/** The fixture that is to speak, and the template of its chats. */
export interface Voice {
  fixture?: string;
  template?: string;
}

const CHARACTERS =
  ' \nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:{!?}"()+-[]/';

/** A tokenizer with one token for each character, as large as the fixture's vocabulary. */
const TOKENIZER = {
  version: "1.0",
  added_tokens: [
    {
      id: 0,
      content: "<unk>",
      special: true,
      // Only mlx-lm insists on these.
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
    },
  ],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: { type: "Fuse" },
  model: {
    type: "BPE",
    unk_token: "<unk>",
    vocab: Object.fromEntries(["<unk>", ...CHARACTERS].map((token, id) => [token, id])),
    merges: [],
  },
};

/** Gives a tiny random model, the llama unless told, a voice: it babbles without end. Returns its folder. */
export async function makeTalkingModel(
  folder: string,
  config: Record<string, unknown> = {},
  { fixture = "llama", template = TEMPLATE }: Voice = {},
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const source = join(FIXTURES, fixture);
  const original = JSON.parse(await readFile(join(source, "config.json"), "utf8")) as object;
  await cp(join(source, "model.safetensors"), join(folder, "model.safetensors"));
  const files = {
    "config.json": { ...original, ...config },
    "tokenizer.json": TOKENIZER,
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      chat_template: template,
    },
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), JSON.stringify(content));
  }
  return folder;
}

/** A model that takes a while to load: gigabytes of zeros, which take no room on a disk. */
export async function makeLargeModel(folder: string): Promise<number> {
  const [width, inner, layers, vocabulary] = [1024, 16_384, 16, 80];
  const config = {
    hidden_size: width,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: 8,
    num_key_value_heads: 1,
    head_dim: 128,
    vocab_size: vocabulary,
    tie_word_embeddings: true,
  };
  await makeTalkingModel(folder, config);
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [vocabulary, width],
    "model.norm.weight": [width],
  };
  for (let layer = 0; layer < layers; layer++) {
    const parts = {
      "self_attn.q_proj": [width, width],
      "self_attn.k_proj": [128, width],
      "self_attn.v_proj": [128, width],
      "self_attn.o_proj": [width, width],
      "mlp.gate_proj": [inner, width],
      "mlp.up_proj": [inner, width],
      "mlp.down_proj": [width, inner],
      input_layernorm: [width],
      post_attention_layernorm: [width],
    };
    for (const [name, shape] of Object.entries(parts)) {
      shapes[`model.layers.${layer}.${name}.weight`] = shape;
    }
  }
  return writeZeroWeights(folder, shapes);
}

/** Writes float32 weights that are all zeros and take no room on a disk; returns their bytes. */
export async function writeZeroWeights(
  folder: string,
  shapes: Record<string, number[]>,
): Promise<number> {
  let end = 0;
  const header = Object.entries(shapes).map(([name, shape]) => {
    const begin = end;
    end += shape.reduce((product, size) => product * size, 4);
    return [name, { dtype: "F32", shape, data_offsets: [begin, end] }] as const;
  });
  const file = join(folder, "model.safetensors");
  await writeSafetensors(file, Object.fromEntries(header));
  await truncate(file, (await readFile(file)).length + end);
  return end;
}
