import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readGgufHeader } from "../src/mlx/gguf.js";
import { readJsonObject } from "../src/mlx/json-file.js";
import { readSafetensorsHeader } from "../src/mlx/safetensors.js";
import { openRegular, readBeginning, readExactly } from "../src/regular-file.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "regular-file-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("gives the bytes that were asked for, or says where the file ends", async () => {
  const file = join(folder, "file");
  await writeFile(file, "0123456789");
  const handle = await openRegular(file);
  try {
    expect(String(await readExactly(handle, 2, 3))).toBe("234");
    await expect(readExactly(handle, 8, 3)).rejects.toThrow("the file ended at byte 10");
  } finally {
    await handle.close();
  }
  expect(await readBeginning(file, 4)).toBe("0123");
  expect(await readBeginning(file, 99)).toBe("0123456789");
});

(process.platform === "win32" ? describe.skip : describe)("a pipe in place of a file", () => {
  test.each<[string, (file: string) => Promise<unknown>]>([
    ["config.json", (file) => readJsonObject(file, "bad_config")],
    ["model.safetensors", readSafetensorsHeader],
    ["model.gguf", readGgufHeader],
  ])("%s is refused, and not waited for", async (name, read) => {
    const file = join(folder, name);
    execFileSync("mkfifo", [file]);
    await expect(read(file)).rejects.toThrow(/^\S+ .*is not a regular file\.$/);
  });

  test("of endless bytes is not read", async () => {
    await expect(readJsonObject("/dev/zero", "bad_config")).rejects.toMatchObject({
      code: "bad_config",
      message: "/dev/zero cannot be read: it is not a regular file.",
    });
  });
});
