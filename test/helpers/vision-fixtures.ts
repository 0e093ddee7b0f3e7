import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { NativeImage, NativeModel } from "../../src/mlx/native-types.js";
import type { Message } from "../../src/types.js";
import { floatsFromBase64, readJson } from "./model-fixtures.js";

/** The folder that scripts/make-vision-fixtures.py writes to. */
export const visionFolder = fileURLToPath(new URL("../fixtures/vision/gemma3", import.meta.url));

/** A tiny Gemma 3 that sees. */
export const seeingModel = join(visionFolder, "model");

/** What transformers made of a chat with pictures. */
export interface SeenChat {
  tokens: Uint32Array;
  /** Names of the pictures, in order. */
  images: string[];
  /** Of every `LOGITS_STEP`-th token. */
  logits: Float32Array;
  greedy: number[];
  messages: Message[];
}

/** Of every such token the logits are golden. */
export const LOGITS_STEP = 4;

const golden = readJson<{
  pixels: Record<string, string>;
  chats: Record<string, Omit<SeenChat, "tokens" | "logits"> & { tokens: number[]; logits: string }>;
}>(visionFolder, "golden.json");

/** The names of all pictures. */
export const pictures = Object.keys(golden.pixels);

/** The names of all chats. */
export const chats = Object.keys(golden.chats);

/** The file of a picture. */
export function pictureBytes(name: string): Uint8Array {
  return readFileSync(join(visionFolder, name));
}

/** What the model reads of a picture, (height, width, 3). */
export function goldenPixels(name: string): Float32Array {
  return floatsFromBase64(golden.pixels[name]!);
}

/** A chat, with the bytes of its pictures. */
export function seenChat(name: string): SeenChat {
  const { tokens, logits, messages, ...rest } = golden.chats[name]!;
  return {
    ...rest,
    tokens: Uint32Array.from(tokens),
    logits: floatsFromBase64(logits),
    messages: messages.map(({ role, content }) => ({
      role,
      content:
        typeof content === "string"
          ? content
          : content.map((part) =>
              part.type === "image" ? { ...part, image: pictureBytes(String(part.image)) } : part,
            ),
    })),
  };
}

/** The pictures of a chat, as the engine takes them. */
export function imagesOf(
  { tokens, images }: SeenChat,
  { imageTokens }: NativeModel,
): NativeImage[] {
  const { image_token_index } = readJson(seeingModel, "config.json");
  const places = [...tokens.keys()].filter((place) => tokens[place] === image_token_index);
  return images.map((name, index) => ({
    start: places[index * imageTokens]!,
    pixels: goldenPixels(name),
    digest: Uint32Array.of(pictures.indexOf(name)),
  }));
}
