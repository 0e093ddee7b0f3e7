import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder } from "../src/make-folder.js";

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "make-folder-"));
});
afterEach(() => rm(scratch, { recursive: true }));

test("makes all folders of a path, also where another makes them too", async () => {
  const folder = join(scratch, "a/b/c");
  await Promise.all([makeFolder(folder), makeFolder(folder), makeFolder(join(scratch, "a/b/d"))]);
  await makeFolder(folder);
  expect((await stat(folder)).isDirectory()).toBe(true);
});

test("fails where a file is in the way", async () => {
  await writeFile(join(scratch, "file"), "");
  await expect(makeFolder(join(scratch, "file/x"))).rejects.toMatchObject({ syscall: "mkdir" });
});

// Node's own `recursive` would never end there.
(existsSync("/proc/self") ? test : test.skip)("fails in /proc (needs /proc)", async () => {
  await expect(makeFolder("/proc/a/b")).rejects.toMatchObject({ code: "ENOENT" });
});
