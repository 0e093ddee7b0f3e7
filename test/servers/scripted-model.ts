import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { writeSafetensors } from "../helpers/safetensors-file.js";

/** What the scripted model says to anything but "sing". The bird is one character of four tokens. */
export const ANSWER = "Hello from a tiny model \u{1F426}.";
/** What it thinks before, where it is told to think. */
export const THOUGHT = "Someone greets me";
/** The tool it calls where it is given tools. */
export const TOOL_CALL = { name: "get_weather", arguments: { city: "Paris" } };

// A piece occurs once in all of this: each token has one successor.
const ANSWER_PIECES = ["Hello", " from", " a", " tiny", " model", " ", ..."\u{1F426}", "."];
const THOUGHT_PIECES = ["<think>", "Someone", " greets", " me", "</think>"];
const TOOL_PIECES = ["<tool_call>", '{"name":', ' "get_weather"', ', "arguments":', ' {"city":'];
TOOL_PIECES.push(' "Paris"', "}}", "</tool_call>");
const SONG_PIECES = ["la", " di", " da"];

const END = "<|end|>";
const SPECIAL = ["<|start|>", END, "<|answer|>", "<|think|>", "<|tool|>", "<|sing|>"];

/** The template of Ollama: what the model says depends on the last token of the prompt alone. */
const CONVERSATION = `{{- $last := "" }}{{ $role := "" }}{{ range .Messages }}{{ .Role }}: {{ .Content }}
{{ $last = .Content }}{{ $role = .Role }}{{ end }}`;
const ANSWERING = `{{ if eq $last "sing" }}<|sing|>{{ else }}<|answer|>{{ end }}`;
const CONVERSATION_WITH_TOOLS = `{{- $last := "" }}{{ $role := "" }}{{ range .Messages }}{{ .Role }}: {{ .Content }}
{{ if .ToolCalls }}<tool_call>{{ range .ToolCalls }}{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}{{ end }}</tool_call>
{{ end }}{{ $last = .Content }}{{ $role = .Role }}{{ end }}`;
const CONVERSATION_WITH_THOUGHTS = `{{- $last := "" }}{{ range .Messages }}{{ .Role }}: {{ if .Thinking }}<think>{{ .Thinking }}</think>
{{ end }}{{ .Content }}
{{ $last = .Content }}{{ end }}`;

/** Templates for Ollama: which words one uses is how Ollama learns what a model can do. */
export const TEMPLATES = {
  plain: `${CONVERSATION}${ANSWERING}`,
  tools: `${CONVERSATION_WITH_TOOLS}{{ if and .Tools (ne $role "tool") }}<|tool|>{{ else }}${ANSWERING}{{ end }}`,
  thinking: `${CONVERSATION_WITH_THOUGHTS}{{ if .Think }}<|think|>{{ else }}${ANSWERING}{{ end }}`,
};

/**
 * Writes a checkpoint that says what is set down above, whatever the sampler: a Llama whose only
 * layer adds nothing, so that each token decides the next one.
 */
export async function writeScriptedModel(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const tokens = [...SPECIAL, ...byteAlphabet()];
  const successors = new Map<number, number>();
  const idOf = (token: string) => {
    const known = tokens.indexOf(token);
    return known >= 0 ? known : tokens.push(token) - 1;
  };
  const chain = (pieces: string[]) => {
    const ids = pieces
      .flatMap((piece) => (SPECIAL.includes(piece) ? [piece] : spelt(piece)))
      .map(idOf);
    for (const [index, id] of ids.slice(1).entries()) successors.set(ids[index]!, id);
  };
  chain(["<|answer|>", ...ANSWER_PIECES, END]);
  chain(["<|think|>", ...THOUGHT_PIECES, ANSWER_PIECES[0]!]);
  chain(["<|tool|>", ...TOOL_PIECES, END]);
  chain(["<|sing|>", ...SONG_PIECES, SONG_PIECES[0]!]);
  const width = Math.ceil(tokens.length / 64) * 64;
  while (tokens.length < width) idOf(`<|unused-${tokens.length}|>`);

  await writeFile(join(folder, "config.json"), JSON.stringify(configOf(width)));
  await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizerOf(tokens)));
  await writeFile(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({ bos_token: "<|start|>", eos_token: END, add_bos_token: false }),
  );
  await writeWeights(join(folder, "model.safetensors"), width, successors);
  return folder;
}

function configOf(width: number) {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: width,
    hidden_size: width,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 4,
    num_key_value_heads: 1,
    max_position_embeddings: 512,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    torch_dtype: "float16",
    bos_token_id: 0,
    eos_token_id: 1,
  };
}

/** Special tokens, a token for each byte, and the pieces; the importer wants one merge at least. */
function tokenizerOf(tokens: string[]) {
  const added = (id: number) => ({ id, content: tokens[id], special: true });
  return {
    version: "1.0",
    added_tokens: SPECIAL.map((_, id) => added(id)),
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: false },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ["l a"],
    },
  };
}

/** Float16 weights: an identity, a table of successors, and zeros. */
async function writeWeights(file: string, width: number, successors: Map<number, number>) {
  const ONE = 0x3c00;
  const identity = Array.from({ length: width }, (_, id) => id * width + id);
  const table = [...successors].map(([token, next]) => next * width + token);
  const tensors: [name: string, shape: number[], ones: number[] | "all"][] = [
    ["model.embed_tokens.weight", [width, width], identity],
    ["lm_head.weight", [width, width], table],
    ["model.norm.weight", [width], "all"],
    ["model.layers.0.input_layernorm.weight", [width], "all"],
    ["model.layers.0.post_attention_layernorm.weight", [width], "all"],
    ["model.layers.0.self_attn.q_proj.weight", [width, width], []],
    ["model.layers.0.self_attn.k_proj.weight", [width / 4, width], []],
    ["model.layers.0.self_attn.v_proj.weight", [width / 4, width], []],
    ["model.layers.0.self_attn.o_proj.weight", [width, width], []],
    ["model.layers.0.mlp.gate_proj.weight", [32, width], []],
    ["model.layers.0.mlp.up_proj.weight", [32, width], []],
    ["model.layers.0.mlp.down_proj.weight", [width, 32], []],
  ];
  const header: Record<string, object> = {};
  const data: Buffer[] = [];
  let end = 0;
  for (const [name, shape, ones] of tensors) {
    const values = new Uint16Array(shape.reduce((product, size) => product * size, 1));
    if (ones === "all") values.fill(ONE);
    else for (const index of ones) values[index] = ONE;
    header[name] = { dtype: "F16", shape, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
    data.push(Buffer.from(values.buffer));
  }
  await writeSafetensors(file, header, Buffer.concat(data));
}

/** The characters that stand for the 256 bytes in byte-level vocabularies, in the order of bytes. */
function byteAlphabet(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let moved = 0;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCharCode(printable(byte) ? byte : 256 + moved++),
  );
}

/** A piece as the vocabulary spells it; a character beyond ASCII is one token for each byte. */
function spelt(piece: string): string[] {
  const alphabet = byteAlphabet();
  const bytes = [...Buffer.from(piece)].map((byte) => alphabet[byte]!);
  return Buffer.from(piece).length === piece.length ? [bytes.join("")] : bytes;
}
