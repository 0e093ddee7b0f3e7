import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const FIXTURE = fileURLToPath(new URL("../fixtures/models/llama", import.meta.url));

const CHARACTERS =
  " \nabcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?'\"()+-=*/";

/** A tokenizer with one token for each character, as large as the fixture's vocabulary. */
const TOKENIZER = {
  version: "1.0",
  added_tokens: [{ id: 0, content: "<unk>", special: true }],
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

/** Gives the tiny random llama a voice: it babbles without end. Returns its folder. */
export async function makeTalkingModel(
  folder: string,
  config: Record<string, unknown> = {},
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const original = JSON.parse(await readFile(join(FIXTURE, "config.json"), "utf8")) as object;
  await cp(join(FIXTURE, "model.safetensors"), join(folder, "model.safetensors"));
  const files = {
    "config.json": { ...original, ...config },
    "tokenizer.json": TOKENIZER,
    "tokenizer_config.json": {
      chat_template: "{% for message in messages %}{{ message.content }}\n{% endfor %}",
    },
  };
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), JSON.stringify(content));
  }
  return folder;
}
