import { existsSync } from "node:fs";
import { open } from "node:fs/promises";
import { cacheError, checkSpace } from "../../src/hub/file-errors.js";

const hasFullDevice = existsSync("/dev/full");

(hasFullDevice ? test : test.skip)("a disk that is full is said so (needs /dev/full)", async () => {
  const full = await open("/dev/full", "w");
  const error = await full.write("x").catch((reason: unknown) => reason);
  await full.close();
  expect(cacheError(error, "/cache")).toMatchObject({
    code: "disk_full",
    message: "The disk of /cache is full.",
    hint: expect.stringContaining("HF_HOME"),
  });
});

test("what does not fit is refused before", async () => {
  await expect(checkSpace(__dirname, 1e18)).rejects.toMatchObject({ code: "disk_full" });
  await checkSpace(__dirname, 1);
});

test("errors that are not about files stay as they are", () => {
  const error = new Error("other");
  expect(cacheError(error, "/cache")).toBe(error);
});
