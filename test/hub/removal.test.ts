import { cp, mkdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { GenerationError, ModelNotFoundError, ValidationError } from "../../src/errors.js";
import { removeLocalModel } from "../../src/mlx/model-removal.js";
import { bytes, HubFolders, modelFiles } from "../helpers/hub-folders.js";

let folders: HubFolders;

beforeEach(async () => {
  folders = await HubFolders.create({ "org/tiny": { files: modelFiles() } });
});
afterEach(() => folders.remove());

const remove = (name: string, places: string[] = []) =>
  removeLocalModel(name, { env: folders.env, folders: places });
const refusal = (...given: Parameters<typeof remove>) =>
  remove(...given).then(
    () => {
      throw new Error("it was removed");
    },
    (error: Error) => error,
  );

/** Two revisions that have the weights in common. */
async function pullTwo() {
  const { files } = folders.hub.repositories["org/tiny"]!;
  await folders.pull("org/tiny");
  files["config.json"] = '{"model_type":"qwen3"}';
  folders.hub.repositories["org/tiny"]!.revisions = { v2: "b".repeat(40) };
  await folders.pull("org/tiny@v2");
}

test("a model goes with all that belongs to it, and nothing else", async () => {
  await folders.pull("org/tiny");
  folders.hub.repositories["org/other"] = { files: modelFiles() };
  await folders.pull("org/other");
  const all = await folders.paths();
  const { id, bytes } = await remove("org/tiny");
  expect(id).toBe("org/tiny");
  expect(bytes).toBeGreaterThan(210_000);
  expect(await folders.paths()).toEqual(all.filter((path) => !path.includes("org--tiny")));
});

test("an unfinished download goes too", async () => {
  folders.hub.faults.plan("cut", { times: 99 });
  await folders.refusal("org/tiny", {}, { maxRetries: 0 });
  expect(await folders.paths()).not.toEqual([]);
  await remove("org/tiny");
  expect(await folders.paths()).toEqual([]);
});

test("a revision leaves what others use", async () => {
  await pullTwo();
  const { bytes: freed } = await remove("org/tiny@v2");
  expect(freed).toBeLessThan(200);
  const left = await folders.contents("org/tiny");
  expect(left["model.safetensors"]!.equals(bytes(200_000))).toBe(true);
  expect((await folders.paths()).filter((path) => path.includes("v2"))).toEqual([]);
  expect(await refusal("org/tiny@v2")).toBeInstanceOf(ModelNotFoundError);
  await remove("org/tiny@main");
  expect(await folders.paths()).toEqual([]);
});

test("what links lead to stays", async () => {
  const precious = join(folders.home, "precious");
  await mkdir(precious);
  await writeFile(join(precious, "file"), "x");
  await folders.pull("org/tiny");
  await symlink(precious, folders.folder("org/tiny", "snapshots", "link"));
  await symlink(join(precious, "file"), folders.folder("org/tiny", "blobs", "link"));
  await remove("org/tiny");
  expect(await readFile(join(precious, "file"), "utf8")).toBe("x");
});

test("a repository that is a link is left alone", async () => {
  await folders.pull("org/tiny");
  const elsewhere = join(folders.home, "elsewhere");
  await rename(folders.folder("org/tiny"), elsewhere);
  await symlink(elsewhere, folders.folder("org/tiny"));
  const error = await refusal("org/tiny");
  expect(error).toBeInstanceOf(GenerationError);
  expect(error.message).toContain("is a link, so it was not removed");
});

test("a model that is being downloaded stays", async () => {
  await folders.pull("org/tiny");
  const lock = join(folders.cache, ".locks/models--org--tiny/llm-client.lock");
  await writeFile(lock, `${process.pid} ${hostname()} x\n`);
  const error = await refusal("org/tiny");
  expect(error.message).toContain(`is being downloaded by process ${process.pid}`);
});

test("a cache that cannot be written is told", async () => {
  await folders.pull("org/tiny");
  await rm(join(folders.cache, ".locks"), { recursive: true });
  await writeFile(join(folders.cache, ".locks"), "in the way");
  expect(await refusal("org/tiny")).toMatchObject({
    code: "not_removed",
    message: expect.stringMatching(/^org\/tiny cannot be removed: E/),
    hint: "This user must be allowed to write in the cache.",
  });
});

test("a model of our own cache goes", async () => {
  const own = join(folders.home, ".cache/llm-client/models/org/own");
  await cp(join(__dirname, "../fixtures/models/llama"), own, { recursive: true });
  expect((await remove("org/own")).bytes).toBeGreaterThan(100_000);
  expect(await refusal("org/own")).toBeInstanceOf(ModelNotFoundError);
});

test("a folder of models in our own cache stays", async () => {
  const own = join(folders.home, ".cache/llm-client/models/org/own");
  await cp(join(__dirname, "../fixtures/models/llama"), own, { recursive: true });
  expect(await refusal("org")).toBeInstanceOf(ModelNotFoundError);
  expect((await remove("org/own")).bytes).toBeGreaterThan(100_000);
});

test("a model stays where its name means another one", async () => {
  await folders.pull("org/tiny");
  const place = join(folders.home, "models");
  await cp(join(__dirname, "../fixtures/models/llama"), join(place, "org/tiny"), {
    recursive: true,
  });
  const error = await refusal("org/tiny", [place]);
  expect(error.message).toContain(`it lies in ${join(place, "org/tiny")}, which is not our cache`);
  expect(Object.keys(await folders.contents("org/tiny"))).toContain("config.json");
});

test("what others keep stays", async () => {
  const place = join(folders.home, ".lmstudio/models/org/kept");
  await cp(join(__dirname, "../fixtures/models/llama"), place, { recursive: true });
  const error = await refusal("org/kept");
  expect(error).toBeInstanceOf(ValidationError);
  expect(error.message).toBe(
    `org/kept is not removed: it lies in ${place}, which is not our cache.`,
  );
});

test.each([
  ["demo", "it comes with the package"],
  ["./here", "it is a folder of yours"],
  ["/", "it is a folder of yours"],
  ["~", "it is a folder of yours"],
])("%s is refused", async (name, why) => {
  expect((await refusal(name)).message).toBe(`${name} is not removed: ${why}.`);
});

test.each(["..", "org/..", "a/b/c", "org/x@../../y", ".locks"])("%s is no name", async (name) => {
  await folders.pull("org/tiny");
  const before = await folders.paths();
  expect(await refusal(name)).toBeInstanceOf(ValidationError);
  expect(await folders.paths()).toEqual(before);
});
