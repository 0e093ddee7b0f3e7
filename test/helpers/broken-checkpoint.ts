import { mkdtempSync, readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fixtureFolder } from "./model-fixtures.js";
import { writeSafetensors } from "./safetensors-file.js";

/** The header of a safetensors file. */
export type TensorTable = Record<
  string,
  { dtype: string; shape: number[]; data_offsets: number[] }
>;

/** Copies a fixture to a temporary folder and changes the table of its tensors, or their bytes. */
export async function breakCheckpoint(
  name: string,
  change: (tensors: TensorTable, data: Buffer) => void,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "mlx-llm-client-test-"));
  await cp(fixtureFolder(name), folder, { recursive: true });
  const file = join(folder, "model.safetensors");
  const bytes = readFileSync(file);
  const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
  const tensors = JSON.parse(bytes.toString("utf8", 8, headerEnd)) as TensorTable;
  const data = bytes.subarray(headerEnd);
  change(tensors, data);
  await writeSafetensors(file, tensors, data);
  return folder;
}
