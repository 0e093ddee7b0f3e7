import { writeFile } from "node:fs/promises";

/** Writes a safetensors file with any header text, so that tests can make it lie. */
export async function writeSafetensors(
  file: string,
  header: object | string,
  data: Uint8Array = new Uint8Array(),
): Promise<string> {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  await writeFile(file, Buffer.concat([length, text, data]));
  return file;
}
