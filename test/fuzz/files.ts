import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadChatTemplate } from "../../src/mlx/chat-template.js";
import { readModelFiles } from "../../src/mlx/model-files.js";
import { readSafetensorsHeader } from "../../src/mlx/safetensors.js";
import { loadTokenizer } from "../../src/mlx/tokenizer.js";

const root = mkdtempSync(join(tmpdir(), "fuzz-"));
process.on("exit", () => rmSync(root, { recursive: true, force: true }));
let folders = 0;

/** A safetensors file with one tensor. */
const WEIGHTS = safetensors('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1);

const WORDS = "Hello, wörld!  12 ▁ <s>\n\tif (a) { return 'b'; }";
const MESSAGES = [
  { role: "system" as const, content: "Be kind." },
  { role: "user" as const, content: "Hi <b>" },
  {
    role: "assistant" as const,
    content: "",
    toolCalls: [{ id: "1", name: "f", arguments: { a: [1, null, "x"] } }],
  },
  { role: "tool" as const, content: "7", toolCallId: "1" },
];
const TOOLS = [
  { type: "function" as const, function: { name: "f", parameters: { type: "object" } } },
];

/** Puts files into a folder, and takes them away again. */
async function withFiles(
  files: Record<string, Uint8Array>,
  work: (folder: string) => Promise<unknown>,
): Promise<void> {
  // Not the same twice: what is made of files is shared.
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  try {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function readSafetensors(data: Buffer): Promise<void> {
  return withFiles({ "model.safetensors": data }, (folder) =>
    readSafetensorsHeader(join(folder, "model.safetensors")),
  );
}

export function readConfig(data: Buffer): Promise<void> {
  const files = { "config.json": data, "generation_config.json": data };
  return withFiles({ ...files, "model.safetensors": WEIGHTS }, readModelFiles);
}

export function readTokenizer(data: Buffer): Promise<void> {
  return withFiles({ "tokenizer.json": data }, useTokenizer);
}

export function renderTemplate(data: Buffer): Promise<void> {
  return withFiles({ "chat_template.jinja": data }, useTemplate);
}

export function readGguf(data: Buffer): Promise<void> {
  return withFiles({ "a.gguf": data }, async (folder) => {
    const file = join(folder, "a.gguf");
    await readModelFiles(file);
    await useTokenizer(file);
    await useTemplate(file);
  });
}

async function useTokenizer(place: string): Promise<void> {
  const tokenizer = await loadTokenizer(place);
  tokenizer.decode(tokenizer.encode(WORDS));
}

async function useTemplate(place: string): Promise<void> {
  const template = await loadChatTemplate(place);
  template?.render({ messages: MESSAGES, tools: TOOLS });
}

function safetensors(header: string, bytes: number): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(bytes)]);
}
