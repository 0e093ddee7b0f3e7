import { writeFile } from "node:fs/promises";
import * as z from "zod/mini";
import type { ContentPart, Message } from "../../index.js";
import { readWhole, whyUnread } from "../../regular-file.js";
import { conversation } from "../../request.js";
import { allow, check, describeProblem } from "../../validation.js";
import { UsageError } from "../exit-codes.js";

/** A chat in a file. */
export interface SavedChat {
  version: 1;
  /** The model that answered last. */
  model?: string;
  system?: string;
  /** All others; pictures are data URLs. */
  messages: Message[];
}

/** Pictures are the most of it. */
const MAX_BYTES = 200_000_000;

const savedChat = z.strictObject(
  {
    version: z.literal(1, "1"),
    model: z.optional(allow.text("the name of a model")),
    system: z.optional(allow.text("a system message")),
    messages: conversation,
  },
  "an object { version, messages }",
);

/** Writes a chat; `mayReplace` tells whether the file may be there already. */
export async function saveChat(
  file: string,
  { messages, ...chat }: Omit<SavedChat, "version">,
  mayReplace: boolean,
): Promise<void> {
  const saved: SavedChat = { version: 1, ...chat, messages: messages.map(asJson) };
  const text = `${JSON.stringify(saved, undefined, 2)}\n`;
  try {
    await writeFile(file, text, { mode: 0o600, flag: mayReplace ? "w" : "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      throw new UsageError(`${file} is there already.`, "Choose another name.");
    }
    throw new UsageError(`${file} cannot be written: ${(error as Error).message}.`);
  }
}

/** Reads a chat, which anybody may have written. */
export async function loadChat(file: string): Promise<SavedChat> {
  const text = await readWhole(file, MAX_BYTES).catch((error: unknown) => {
    throw new UsageError(`${file} ${whyUnread(error)}.`);
  });
  const result = check<SavedChat>(savedChat, parse(text, file));
  if (!result.problems) return result.value;
  throw new UsageError(
    `${file} is no saved chat: ${result.problems.map(describeProblem).join("; ")}.`,
  );
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${(error as Error).message}.`);
  }
}

function asJson({ content, ...message }: Message): Message {
  return { ...message, content: typeof content === "string" ? content : content.map(partAsJson) };
}

function partAsJson(part: ContentPart): ContentPart {
  if (part.type === "text" || typeof part.image === "string") return part;
  const { image, mediaType } = part;
  return {
    type: "image",
    image: `data:${mediaType};base64,${Buffer.from(image).toString("base64")}`,
  };
}
