import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { modelPlaces } from "../mlx/model-places.js";

/** A folder in which models are looked for. */
export interface CacheReport {
  /** For example "the Hugging Face cache". */
  name: string;
  folder: string;
  /** Of all files in it; absent where the folder is not there. */
  bytes?: number;
}

/** The folders of models, and how much is in them. */
export async function measureCaches(env: NodeJS.ProcessEnv): Promise<CacheReport[]> {
  const places = await modelPlaces({ env });
  return Promise.all(
    places.map(async ({ label, folder }) => {
      const bytes = await bytesOf(folder);
      return { name: label, folder, ...(bytes !== undefined && { bytes }) };
    }),
  );
}

/** Links count nothing: in the Hub's cache they lead to files of the same folder. */
async function bytesOf(folder: string): Promise<number | undefined> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    let bytes = 0;
    for (const entry of entries.filter((each) => each.isFile())) {
      const stats = await lstat(join(entry.parentPath, entry.name)).catch(() => undefined);
      bytes += stats?.size ?? 0;
    }
    return bytes;
  } catch {
    return undefined;
  }
}
