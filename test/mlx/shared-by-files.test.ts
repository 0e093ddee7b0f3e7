import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { SharedByFiles } from "../../src/mlx/shared-by-files.js";

let folder: string;
let files: string[];
let makes: number;
let shared: SharedByFiles<{ number: number }>;
const make = async () => ({ number: ++makes });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "shared-"));
  files = ["one", "missing"].map((name) => join(folder, name));
  await writeFile(files[0]!, "1");
  makes = 0;
  shared = new SharedByFiles();
});
afterEach(() => rm(folder, { recursive: true }));

test("those who ask at the same time, and later, get the same", async () => {
  const [first, second] = await Promise.all([shared.get(files, make), shared.get(files, make)]);
  expect(second).toBe(first);
  expect(await shared.get(files, make)).toBe(first);
  expect(makes).toBe(1);
});

test("it is made anew when a file has changed or has come", async () => {
  const made = [await shared.get(files, make)];
  await writeFile(files[0]!, "longer");
  made.push(await shared.get(files, make));
  await writeFile(files[1]!, "");
  made.push(await shared.get(files, make));
  expect(made.map(({ number }) => number)).toEqual([1, 2, 3]);
});

test("other files are another thing", async () => {
  const first = await shared.get(files, make);
  expect(await shared.get([files[0]!], make)).not.toBe(first);
});

test("a failure is not kept", async () => {
  const fail = () => Promise.reject(new Error("It failed."));
  await expect(shared.get(files, fail)).rejects.toThrow("It failed.");
  expect(await shared.get(files, make)).toEqual({ number: 1 });
});

test("what nobody uses any more is not kept", async () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  await shared.get(files, make);
  // A weak reference holds until the end of the turn that read it.
  await new Promise((resolve) => setImmediate(resolve));
  gc();
  expect(await shared.get(files, make)).toEqual({ number: 2 });
});
