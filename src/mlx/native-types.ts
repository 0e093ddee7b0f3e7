/**
 * The whole native line: token ids go in, token events come out.
 * The addon (native/mlx_bridge.cpp) implements these types; nothing else crosses.
 */
import type { WeightType } from "../quantize.js";

/** What `require`-ing the addon gives. */
export interface NativeAddon {
  /** Of the libraries in it; without `llguidance` it knows no grammars. */
  version(): { mlx: string; mlxC: string; llguidance?: string };
  device(): NativeDevice;
  /** Bytes held by MLX: in live arrays, in its buffer cache, and the most ever live. */
  memory(): { active: number; cache: number; peak: number };
  /** Every `model_type` that `load` accepts, aliases included. */
  modelTypes(): string[];
  /**
   * Builds a model from a parsed config.json and its weights: safetensors files, or a GGUF file.
   * The headers of the files must have been validated before: MLX trusts them. A model that
   * processes share is the part of this one; all of them must load and use it in the same order.
   */
  load(
    config: object,
    weights: NativeWeights,
    conversion?: NativeConversion,
    group?: NativeGroup,
  ): NativeLoading;
  /** Tells what `load` and the tokens that a session reads then would take in memory; no weight is read. */
  measure(
    config: object,
    weights: NativeWeights,
    conversion?: NativeConversion,
    group?: NativeGroup,
  ): Promise<NativeFootprint>;
  /**
   * Ends the connections to the processes of a group: whatever waits for them, here or there, fails
   * with the code "peer_lost".
   */
  leaveGroup(): void;
  /** Takes in what the tokens of a model stand for, from which its grammars are made. */
  tokenTable(tokens: NativeTokens): Promise<NativeTokenTable>;
  /** Rejects with the code "bad_grammar" and what is wrong with the text. */
  grammar(table: NativeTokenTable, type: NativeGrammarType, text: string): Promise<NativeGrammar>;
  /** Whether tokens are a whole text of a grammar. */
  accepts(grammar: NativeGrammar, tokens: Uint32Array): boolean;
  /** Writes the tensors of a checkpoint, converted, into safetensors files of a folder. */
  convert(
    config: object,
    weights: NativeWeights,
    conversion: NativeConversion,
    folder: string,
  ): NativeConverting;
}

/** What the tokens of a model stand for. */
export interface NativeTokens {
  /**
   * Of all tokens, one behind the other. One that stands for no text begins with 0xff, and comes
   * only where a grammar names it; one without bytes never comes.
   */
  bytes: Uint8Array;
  /** As many as the model has logits. */
  lengths: Uint32Array;
  /** Tokens that end a reply. */
  ends: number[];
}

/** How a grammar is written: Lark as llguidance reads it, a regular expression as Rust does. */
export type NativeGrammarType = "json_schema" | "regex" | "lark";

/** Only the addon sees into it. */
export interface NativeTokenTable {
  readonly part?: "table";
}

/** Only the addon sees into it. */
export interface NativeGrammar {
  readonly part?: "grammar";
}

/** The processes that share a model, each of which runs the same program. */
export interface NativeGroup {
  backend: "ring" | "jaccl";
  /** Which of them this is. */
  rank: number;
  size: number;
  /** On which a ring's process hears the one before it. */
  ports: number[];
  /** On which the one after it hears. */
  nextPorts: number[];
  /** Below 2^31, the same if they load the same model with the same options. */
  digest?: number;
}

/** What a model takes in memory, before anything of it is there. */
export interface NativeFootprint {
  weightBytes: number;
  /** Of what reads images, which is not read before the first one. */
  visionBytes: number;
  /** Tokens by which caches grow. */
  growth: number;
  /** What each cache takes: a fixed part, and a part for each token, up to a number of tokens. */
  layers: { fixedBytes: number; bytesPerToken: number; mostTokens?: number }[];
}

/** Paths of safetensors files, or the tensors of a GGUF file. */
export type NativeWeights = string[] | NativeGguf;

/** A GGUF file as the engine reads it. */
export interface NativeGguf {
  file: string;
  /** The header of a safetensors file with the same data; packed tensors are rows of bytes. */
  header: string;
  /** Where in the file that data begins. */
  dataOffset: number;
  /** How each tensor is packed; `heads`: by how many heads its rows are in turns. */
  tensors: Record<string, { type: string; heads?: number }>;
  /** The type that tensors take which are not packed. */
  dtype: WeightType;
}

/** How dense matrices are quantized: `quantization` as config.json has it, or one of mlx-lm's recipes. */
export interface NativeQuantize {
  mode: "affine" | "mxfp4" | "mxfp8" | "nvfp4";
  bits: number;
  group_size: number;
  recipe?: string;
}

/** What is done to tensors while they are read. */
export interface NativeConversion {
  /** Dense matrices become quantized. */
  quantize?: NativeQuantize;
  /** Quantized matrices become dense. */
  dequantize?: boolean;
  /** Floating-point tensors are cast. */
  dtype?: WeightType;
}

/** A checkpoint being converted; other work goes on between its pieces. */
export interface NativeConverting {
  done: Promise<NativeConverted>;
  /** Ends the work at its next piece; `done` rejects with the code "cancelled". */
  cancel(): void;
}

/** What was written. */
export interface NativeConverted {
  /** Tensor → file. */
  weightMap: Record<string, string>;
  /** Path of each quantized module → how it is quantized. */
  quantizations: Record<string, Omit<NativeQuantize, "recipe">>;
  /** Bytes of all tensors. */
  bytes: number;
  /** Numbers that the tensors stand for, without scales and biases of quantization. */
  parameters: number;
}

/** A model being read; other work goes on between its pieces. */
export interface NativeLoading {
  model: Promise<NativeModel>;
  /** Ends the reading at its next piece; `model` rejects with the code "cancelled". */
  cancel(): void;
}

/** The device that MLX computes on; sizes in bytes, where the platform tells them. */
export interface NativeDevice {
  type: "cpu" | "gpu";
  name: string;
  memorySize?: number;
  maxRecommendedWorkingSetSize?: number;
}

/** Immutable weights. `close` frees them once no session uses them. */
export interface NativeModel {
  readonly vocabSize: number;
  /** Pixels along an edge of the images that it reads, and the tokens that stand for one; 0 if it reads none. */
  readonly imageSize: number;
  readonly imageTokens: number;
  /** Bytes of all weights. */
  readonly bytes: number;
  /** Whether all of its layers keep all tokens, so that any beginning of a text can be taken up again. */
  readonly canTrim: boolean;
  /** Whether it reads only: it has no sessions. */
  readonly isEncoder: boolean;
  /** What its classifier judges; 0 where it has none. */
  readonly labels: number;
  session(): NativeSession;
  /**
   * The vectors of texts, one behind the other: for each pooling in turn, by sentence-transformers'
   * name, and then through the `dense_layers` of the configuration.
   */
  embed(texts: NativeTexts, poolings: string[]): Promise<Float32Array>;
  /** What the classifier says of texts, `labels` numbers for each. */
  classify(texts: NativeTexts): Promise<Float32Array>;
  /** The logits that some tokens have behind each text. */
  nextLogits(texts: NativeTexts, tokens: Uint32Array): Promise<Float32Array>;
  /**
   * Bounds what is remembered of prompts and replies, nothing unless told; resolves to the bytes
   * that are left of what was remembered.
   */
  limitPromptCache(limits: NativePromptCacheLimits): Promise<number>;
  /**
   * Remembers the text of a prompt-cache file, whose header must have been validated before;
   * resolves to the number of its tokens that are then remembered.
   */
  readPromptCache(file: NativePromptCacheFile, tokens: Uint32Array): Promise<number>;
  /** The same model with an adapter; both share the weights. */
  withAdapter(adapter: NativeAdapter): NativeLoading;
  close(): void;
}

/** Texts that are read together. */
export interface NativeTexts {
  /** Of all texts, one behind the other. */
  tokens: Uint32Array;
  /** How many of them each text has, one at least. */
  lengths: Uint32Array;
  /** The part of its text that each token is in, where texts have parts. */
  segments?: Uint32Array;
}

/** A layer behind a pooling, as an entry of `dense_layers` in a configuration. */
export interface NativeDense {
  /** A safetensors file, whose header must have been validated. */
  file: string;
  in_features: number;
  out_features: number;
  bias: boolean;
  /** Whether what comes out goes through the hyperbolic tangent. */
  tanh: boolean;
}

/** How much a model remembers of what it has read. */
export interface NativePromptCacheLimits {
  /** 0 turns it off. */
  bytes: number;
  /** Bytes of all live arrays, beyond which the cache shrinks. */
  activeMemory?: number;
  /** A folder that keeps it, too, for other processes and later ones; it may serve many models. */
  folder?: string;
  /** Bytes that the files of the folder may have together; needed with it. */
  folderBytes?: number;
  /** What tells the model from all others, in hexadecimal digits; needed with it. */
  fingerprint?: string;
}

/** A file of mlx-lm's that holds what each layer of a model keeps of a text. */
export interface NativePromptCacheFile {
  file: string;
  /** Tokens of the text. */
  tokens: number;
  /** How keys and values are packed, where they are. */
  kvBits?: number;
  kvGroupSize?: number;
  /** Tokens that layers keep which would keep all, where they are limited. */
  maxKvSize?: number;
  layers: NativePromptCacheLayer[];
}

/** What one layer keeps, as names of tensors. */
export interface NativePromptCacheLayer {
  /** mlx-lm's class. */
  kind: string;
  /** Tokens that it looks back on; all unless told. */
  window?: number;
  /** First tokens that it keeps as well. */
  keep?: number;
  /** One tensor each, or packed numbers, scales and biases; none if it keeps nothing. */
  keys?: string[];
  values?: string[];
  /** Begin and end of the parts of these that are kept, the oldest first. */
  order?: number[];
  /** An empty name stands for a state that is not there. */
  states?: string[];
}

/** An image of a prompt. */
export interface NativeImage {
  /** The place of the first of its tokens. They stand before the last token of the prompt. */
  start: number;
  /** Of `imageSize` by `imageSize` pixels, (height, width, 3). */
  pixels: Float32Array;
  /** Tells the image from all others, so that a remembered text is taken up with its own images only. */
  digest: Uint32Array;
}

/** A LoRA or DoRA adapter. The header of its file must have been validated before. */
export interface NativeAdapter {
  file: string;
  /** Factor of every update. */
  scale: number;
  /** Factors by the path of a module, where they differ. */
  scales?: Record<string, number>;
  /** Whether the file holds the two matrices as PEFT does: (r, in) and (out, r). */
  transposed: boolean;
  /**
   * Tensor of the file → what it is: the path of a module with `.lora_a`, `.lora_b` or `.m` (the
   * magnitude of DoRA), or the name of a tensor of the model that it replaces.
   */
  tensors: Record<string, string>;
}

/** One key-value timeline over a model; one call at a time. */
export interface NativeSession {
  /** Appends `tokens` and generates after them; `onTokens` receives batches in order. */
  generate(
    tokens: Uint32Array,
    sampling: NativeSampling,
    onTokens: (batch: NativeTokenBatch) => void,
  ): Promise<NativeStats>;
  /** Appends `tokens` and resolves to their logits, (tokens × vocabSize) row-major. */
  logits(tokens: Uint32Array, images?: NativeImage[]): Promise<Float32Array>;
  /**
   * Reads `tokens` and writes what the model keeps of them into a new file, in mlx-lm's format;
   * `metadata` is what a user says of it. The folder must be there.
   */
  writePromptCache(
    tokens: Uint32Array,
    sampling: NativeSampling,
    file: string,
    metadata: Record<string, string>,
  ): Promise<void>;
  /** Ends the running `generate` at its next step; its promise resolves as "cancelled". */
  cancel(): void;
  /** Holds the running `generate` after its next tokens, so that others go on without it. */
  pause(): void;
  resume(): void;
  /** Cancels and frees the timeline. */
  close(): void;
}

/** How the next token is chosen. Absent options are off. */
export interface NativeSampling {
  maxTokens: number;
  /** Token ids that end the reply; they are not delivered. */
  stopTokens: number[];
  /** 0 chooses the most probable token. */
  temperature: number;
  topP?: number;
  topK?: number;
  minP?: number;
  xtcProbability?: number;
  xtcThreshold?: number;
  xtcSpecialTokens?: number[];
  repetitionPenalty?: number;
  presencePenalty?: number;
  frequencyPenalty?: number;
  /** Tokens that the repetition penalty looks back on, the prompt included; 20 unless told. */
  repetitionContextSize?: number;
  /** Window of the presence and frequency penalties, the prompt included; absent: all of the reply and no prompt. */
  penaltyContextSize?: number;
  logitBias?: [token: number, bias: number][];
  /** Same seed, same tokens, whatever else runs. Absent: drawn anew. */
  seed?: number;
  /** Deliver each token's log-probability. */
  logprobs?: boolean;
  /** Deliver this many of the most probable alternatives. */
  topLogprobs?: number;
  /** Prompt tokens evaluated at a time. */
  prefillStepSize?: number;
  /** Replies of higher priority begin before others; 0 unless told. */
  priority?: number;
  /** Bits in which keys and values are kept, as they come unless told. */
  kvBits?: number;
  /** Numbers that share a scale; 64 unless told. */
  kvGroupSize?: number;
  /** Tokens from which on keys and values are quantized; 0 unless told. */
  quantizedKvStart?: number;
  /** Tokens that layers keep which would keep all: the first four and the last. */
  maxKvSize?: number;
  /** Bytes that keys, values and states may take, as far as is known. */
  cacheBytes?: number;
  /** Bytes in use above which the reply waits until others have ended. */
  memoryLimit?: number;
  /** For a model that processes share: below 2^31, the same if they were given the same. */
  digest?: number;
  /** Whether the prompt may begin with what the model remembers, and is remembered; true unless told. */
  promptCache?: boolean;
  /** The text before the prompt, which is not remembered then. Its header must have been validated. */
  promptCacheFile?: NativePromptCacheFile;
  /** In the order of their places; no draft model can follow them. */
  images?: NativeImage[];
  /** Numbers of prompt tokens behind which a later prompt may part from this one. */
  boundaries?: number[];
  /** Draft what followed where the last tokens came before; the tokens are the same with and without. */
  promptLookup?: NativePromptLookup;
  /** Keeps the reply within a grammar; nothing is drafted then. */
  grammar?: NativeGrammar;
  /** Draft with the model's own head for multi-token prediction, if the checkpoint has one. */
  mtp?: NativeMtp;
  /** Drafts in the place of the prompt and of the head; its token ids must mean the same. */
  draftModel?: NativeModel;
  /** Tokens that the draft model drafts at a time, or the head at most; 3 unless told. */
  numDraftTokens?: number;
}

/** How a text is searched for what may come next. */
export interface NativePromptLookup {
  /** Tokens that must have come before; 3 unless told. */
  minNgram?: number;
  /** Tokens drafted at most; 16 unless told. */
  tokens?: number;
  /** Draft even where it takes more time than it saves. */
  always?: boolean;
}

/** How a model's own head guesses. */
export interface NativeMtp {
  /** Draft even where it takes more time than it saves. */
  always?: boolean;
}

/** Tokens in the order generated; `top…` hold `tokens.length × topLogprobs` values, most probable first. */
export interface NativeTokenBatch {
  tokens: Uint32Array;
  logprobs?: Float32Array;
  topTokens?: Uint32Array;
  topLogprobs?: Float32Array;
}

/** What a finished generation took; times in milliseconds. */
export interface NativeStats {
  finishReason: "stop" | "length" | "cancelled";
  promptTokens: number;
  /** Prompt tokens that were remembered and not read again. */
  cachedTokens: number;
  /** Tokens generated, the stop token included. */
  completionTokens: number;
  /** Tokens that were drafted, and how many of them were chosen. */
  draftTokens: number;
  acceptedTokens: number;
  /** From the start to the first token. */
  promptMs: number;
  /** From the first token to the last. */
  decodeMs: number;
  /** Host time spent building graphs during decode. */
  graphMs: number;
}

/** The `code` of an error that the addon throws or rejects with. */
export type NativeErrorCode =
  | "unknown_model_type"
  | "bad_config"
  | "missing_tensor"
  | "unused_tensor"
  | "tensor_shape"
  | "out_of_memory"
  | "invalid_argument"
  | "closed"
  | "cancelled"
  | "unsupported_task"
  | "unsupported_kv_quantization"
  | "unsupported_max_kv_size"
  | "unsupported_grammar"
  | "bad_grammar"
  | "grammar_failed"
  | "grammar_missing"
  | "cannot_shard"
  | "peer_lost"
  | "peer_mismatch"
  | "prompt_cache_mismatch"
  | "unsupported_prompt_cache_file"
  | "mlx_error";
