import { ModelLoadError, ValidationError } from "../errors.js";
import { isObject, parseJson } from "../fields.js";
import type { HubFile } from "./listing.js";
import { collidingPaths, isSafePath } from "./safe-names.js";

/** The name under which an index tells which file holds which tensor. */
export const INDEX = "model.safetensors.index.json";

/** What is needed besides the weights; the README tells the licence. */
const SMALL_FILES =
  /^(?:(?:config|generation_config|chat_template|modules|sentence_bert_config|config_sentence_transformers|special_tokens_map|added_tokens|vocab|quantize_config|quant_config|adapter_config|preprocessor_config|processor_config|tokenizer[\w.-]*)\.json|[\w.-]+\.jinja|merges\.txt|README\.md)$/;
/** What sentence-transformers puts behind a model, such as 1_Pooling/config.json. */
const STEPS = /^\d+_[A-Za-z]+\/(?:config\.json|model\.safetensors)$/;
const WEIGHTS = /^model[^/]*\.safetensors$/;
const ADAPTERS = /^(?:adapters|adapter_model)\.safetensors$/;
const GGUF = /^(?!mmproj)[^/]*\.gguf$/i;
const PART_OF_GGUF = /-\d{5}-of-\d{5}\.gguf$/i;

/** The files that a model needs, of all that a repository has; `chosen` is a GGUF file. */
export function wantedFiles(
  repository: string,
  files: HubFile[],
  index: string | undefined,
  chosen: string | undefined,
): HubFile[] {
  const weights =
    chosen === undefined
      ? (indexed(repository, files, index) ?? weightsOf(repository, files))
      : [namedFile(repository, files, chosen)];
  const others = files.filter(({ path }) => SMALL_FILES.test(path) || STEPS.test(path));
  const wanted = [
    ...new Set([...others, ...(index === undefined ? [] : indexOf(files)), ...weights]),
  ];
  const unsafe = wanted.find(({ path }) => !isSafePath(path));
  if (unsafe) {
    throw unusable(
      repository,
      `a file with the name ${JSON.stringify(unsafe.path)}, which is not safe`,
    );
  }
  const [one, other] = collidingPaths(wanted.map(({ path }) => path));
  if (one === undefined) return wanted;
  throw unusable(repository, `two files that some systems take for one: ${one} and ${other}`);
}

/** The index of a repository, where it has one. */
export function indexOf(files: HubFile[]): HubFile[] {
  return files.filter(({ path }) => path === INDEX);
}

/** The files that the index names. */
function indexed(
  repository: string,
  files: HubFile[],
  index: string | undefined,
): HubFile[] | undefined {
  if (index === undefined) return undefined;
  const content = parseJson(index);
  const map = isObject(content) ? content.weight_map : undefined;
  if (!isObject(map)) throw unusable(repository, `a ${INDEX} that names no files`);
  return [...new Set(Object.values(map))].map((shard) => {
    const file = files.find(({ path }) => path === shard);
    if (file && /^[^/]+\.safetensors$/.test(file.path)) return file;
    throw unusable(
      repository,
      `a ${INDEX} that names ${JSON.stringify(shard)}, which is not there`,
    );
  });
}

function weightsOf(repository: string, files: HubFile[]): HubFile[] {
  const weights = files.filter(({ path }) => WEIGHTS.test(path));
  if (weights.length > 0) return weights;
  const adapters = files.filter(({ path }) => ADAPTERS.test(path));
  if (adapters.length > 0) return adapters;
  const ggufs = files.filter(({ path }) => GGUF.test(path));
  if (ggufs.length === 1) return [namedFile(repository, files, ggufs[0]!.path)];
  if (ggufs.length > 1) {
    const names = ggufs.map(({ path }) => path).join(", ");
    throw new ValidationError(`${repository} has several GGUF files: ${names}.`, {
      provider: "mlx",
      model: repository,
      hint: "Choose one with --file, in code with the option file.",
    });
  }
  const others = files.filter(({ path }) => /\.(?:bin|pth?|onnx|npz|gguf|safetensors)$/.test(path));
  const found = others.slice(0, 5).map(({ path }) => path);
  throw unusable(
    repository,
    `no weights that MLX reads${found.length > 0 ? `, only ${found.join(", ")}` : ""}`,
  );
}

function namedFile(repository: string, files: HubFile[], name: string): HubFile {
  const file = files.find(({ path }) => path === name);
  const details = { provider: "mlx", model: repository };
  if (!file) {
    const ggufs = files.filter(({ path }) => /\.gguf$/i.test(path)).map(({ path }) => path);
    const hint = ggufs.length > 0 ? `It has ${ggufs.join(", ")}.` : "It has no GGUF files.";
    throw new ValidationError(`${repository} has no file "${name}".`, { ...details, hint });
  }
  if (!/\.gguf$/i.test(name) || PART_OF_GGUF.test(name)) {
    const message = `${name} cannot be chosen: only a whole GGUF file can.`;
    throw new ValidationError(message, {
      ...details,
      hint: "Without --file the weights are taken.",
    });
  }
  return file;
}

function unusable(repository: string, what: string): ModelLoadError {
  return new ModelLoadError(`${repository} has ${what}.`, {
    code: "bad_weights",
    provider: "mlx",
    model: repository,
    hint: "Choose another model: those of mlx-community are in MLX format.",
  });
}
