import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The files that Node loads to run some code, as it tells of their coverage. */
export async function loadedFiles(code: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "coverage-"));
  try {
    await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", code], {
      env: { PATH: process.env.PATH, HOME: folder, NODE_V8_COVERAGE: folder },
    });
    const reports = await Promise.all((await readdir(folder)).map((name) => read(folder, name)));
    const urls = reports.flatMap(({ result }) => result.map(({ url }) => url));
    // The code itself is told of as well.
    const files = urls.filter((url) => url.startsWith("file:")).map((url) => fileURLToPath(url));
    return files.filter((file) => existsSync(file));
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function read(folder: string, name: string): Promise<{ result: { url: string }[] }> {
  return JSON.parse(await readFile(join(folder, name), "utf8"));
}
