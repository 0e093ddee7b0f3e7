import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, isAbsolute, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigurationError, LLMError, ModelLoadError, ModelNotFoundError } from "../errors.js";
import { expandHome, homeFolder } from "../home-folder.js";
import { hubCache } from "../hub/environment.js";
import { nearestName } from "../nearest-name.js";
import { readBeginning } from "../regular-file.js";
import { isGgufFile } from "./gguf.js";
import { DEMO, looksLikePath, type ModelSearch } from "./model-names.js";

/** A model's folder, or its GGUF file, and the name that finds it again. */
export interface FoundModel {
  id: string;
  folder: string;
}

/** A Hugging Face hub cache, a folder of models named `name` or `org/name`, or one model. */
export interface ModelPlace {
  label: string;
  folder: string;
  layout: "hub" | "tree" | "model";
}

/** Where that lies. */
export const DEMO_FOLDER = fileURLToPath(new URL("../../models/demo", import.meta.url));

const MODEL_NAME = /^(?:(?<org>\w[\w.-]*)\/)?(?<name>\w[\w.-]*)(?:@(?<revision>\w[\w./-]*))?$/;
const MAX_NAME_LENGTH = 256;
const LARGEST_SETTINGS = 1024 * 1024;
const LONGEST_COMMIT = 1024;
const COMMIT = /^[0-9a-f]{7,64}$/;

/**
 * Finds the folder or the GGUF file of a model: a path, `demo`, or `org/name` (also `org/name@revision`) in
 * the Hugging Face cache, LM Studio's models folder or our own cache.
 *
 * @example
 * await findModel("mlx-community/Qwen3-0.6B-4bit"); // "/home/ada/.cache/huggingface/hub/models--…"
 */
export async function findModel(name: string, search: ModelSearch = {}): Promise<string> {
  const env = search.env ?? process.env;
  if (name === DEMO) return DEMO_FOLDER;
  if (looksLikePath(name) || (await isLocalGguf(name))) {
    return existingModel(expandHome(name, env), name);
  }

  const parts = MODEL_NAME.exec(name)?.groups;
  if (!parts || name.length > MAX_NAME_LENGTH || name.split(/[/@]/).includes("..")) {
    throw notAName(name);
  }
  const here: ModelPlace = {
    label: "the working directory",
    folder: process.cwd(),
    layout: "tree",
  };
  const places = await modelPlaces(search);
  places.splice(search.folders?.length ?? 0, 0, here);
  for (const place of places) {
    const folder = await findWithin(place, parts);
    const model = folder && (await modelIn(folder));
    if (model) return model;
    // Any folder may be named as a model is; elsewhere it is one, perhaps not yet complete.
    if (folder && place !== here && (await isFolder(folder))) return folder;
  }
  const error = await notFound(name, places.map(describe), search);
  const near = join(here.folder, name);
  if (!(await isFolder(near))) throw error;
  throw error.with({ hint: `The folder ${near} holds no model, or several. ${error.hint}` });
}

/** The folder of an adapter: like a model's, and any folder that is there by that path. */
export async function findAdapter(name: string, search: ModelSearch = {}): Promise<string> {
  const path = resolve(process.cwd(), expandHome(name, search.env));
  if (await isFolder(path)) return path;
  return findModel(name, search).catch((error: unknown) => {
    const isConfiguration = ConfigurationError.is(error) || !LLMError.is(error);
    throw isConfiguration ? error : adapterNotFound(name, path);
  });
}

/** All models in the places where `findModel` looks, in that order; their files are not read. */
export async function listModelFolders(search: ModelSearch = {}): Promise<FoundModel[]> {
  const found: FoundModel[] = [{ id: DEMO, folder: DEMO_FOLDER }];
  for (const place of await modelPlaces(search)) found.push(...(await modelsWithin(place)));
  const seen = new Set<string>();
  return found.filter(({ id }) => !seen.has(id) && seen.add(id));
}

/**
 * The model in a folder: the folder itself if it holds, or was meant to hold, an MLX model; else
 * its only GGUF file. Undefined for any other folder.
 */
export async function modelIn(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => [] as string[]);
  if (names.some((name) => /^model.*\.safetensors(?:\.index\.json)?$/.test(name))) return folder;
  const files = ggufFilesIn(names);
  if (files.length === 1) return join(folder, files[0]!);
  return names.includes("config.json") ? folder : undefined;
}

/** The GGUF files among the names of a folder; projectors of images belong to a model. */
export function ggufFilesIn(names: string[]): string[] {
  return names.filter((name) => isGgufFile(name) && !/^mmproj/i.test(name)).sort();
}

async function findWithin(
  { folder, layout }: ModelPlace,
  { org, name, revision }: Record<string, string | undefined>,
): Promise<string | undefined> {
  const id = org ? `${org}/${name}` : name!;
  if (layout === "hub") {
    return snapshotFolder(join(folder, `models--${id.replace("/", "--")}`), revision);
  }
  // Only the hub cache keeps revisions.
  if (revision) return undefined;
  if (layout === "tree") return join(folder, id);
  return basename(folder) === id ? folder : undefined;
}

async function modelsWithin({ folder, layout }: ModelPlace): Promise<FoundModel[]> {
  if (layout === "hub") return hubModels(folder);
  if (layout === "tree") return treeModels(folder);
  return [{ id: basename(folder), folder: (await modelIn(folder)) ?? folder }];
}

/** The folder in which this package keeps models of its own. */
export function ownCache(env: NodeJS.ProcessEnv): string {
  const cache = env.XDG_CACHE_HOME || join(homeFolder(env), ".cache");
  return join(cache, "llm-client", "models");
}

/** Where names of models are looked for, in that order. */
export async function modelPlaces({
  env = process.env,
  folders = [],
}: ModelSearch): Promise<ModelPlace[]> {
  const home = homeFolder(env);
  const places: ModelPlace[] = [];
  for (const path of folders) {
    const folder = resolve(expandHome(path, env));
    if (!(await isFolder(folder))) {
      throw new ConfigurationError(`The folder of models ${folder} does not exist.`, {
        url: folder,
        hint: "Correct baseUrl, --base-url or MLX_MODEL_PATH.",
      });
    }
    const layout = (await modelIn(folder)) ? "model" : "tree";
    places.push({ label: "the folder", folder, layout });
  }
  places.push(
    { label: "llm-client's cache", folder: ownCache(env), layout: "tree" },
    { label: "the Hugging Face cache", folder: hubCache(env), layout: "hub" },
  );
  const lmStudioFolders = [
    await lmStudioDownloads(home),
    join(home, ".lmstudio", "models"),
    join(home, ".cache", "lm-studio", "models"),
  ];
  for (const folder of new Set(lmStudioFolders)) {
    if (folder) places.push({ label: "LM Studio's models", folder, layout: "tree" });
  }
  return places;
}

/** LM Studio lets its user move the models elsewhere and notes where in its settings. */
async function lmStudioDownloads(home: string): Promise<string | undefined> {
  try {
    const text = await readBeginning(join(home, ".lmstudio", "settings.json"), LARGEST_SETTINGS);
    const { downloadsFolder } = JSON.parse(text) as { downloadsFolder?: unknown };
    return typeof downloadsFolder === "string" && isAbsolute(downloadsFolder)
      ? downloadsFolder
      : undefined;
  } catch {
    // Without readable settings LM Studio is absent or uses its default folders.
    return undefined;
  }
}

/** The folder of one revision in a repository of the hub cache; `main` unless told. */
async function snapshotFolder(repository: string, revision = "main"): Promise<string | undefined> {
  if (revision.split("/").includes("..")) return undefined;
  const reference = join(repository, "refs", revision);
  const commit = await readBeginning(reference, LONGEST_COMMIT).catch(() => undefined);
  const wanted = commit?.trim() ?? revision;
  const snapshots = (await subfolders(join(repository, "snapshots"))).map((path) => basename(path));
  const match = snapshots.find(
    (name) => name === wanted || (COMMIT.test(wanted) && name.startsWith(wanted)),
  );
  // A download of one given commit leaves no refs/main.
  const only = revision === "main" && !commit && snapshots.length === 1 ? snapshots[0] : undefined;
  const snapshot = match ?? only;
  return snapshot && join(repository, "snapshots", snapshot);
}

async function hubModels(hub: string): Promise<FoundModel[]> {
  const found: FoundModel[] = [];
  for (const repository of await subfolders(hub)) {
    const [kind, ...nameParts] = basename(repository).split("--");
    if (kind !== "models" || nameParts.length === 0) continue;
    const snapshot = await snapshotFolder(repository);
    // The cache also holds repositories of other kinds.
    const folder = snapshot && (await modelIn(snapshot));
    if (folder) found.push({ id: nameParts.join("/"), folder });
  }
  return found;
}

async function treeModels(root: string): Promise<FoundModel[]> {
  const found: FoundModel[] = [];
  for (const org of await subfolders(root)) {
    const model = await modelIn(org);
    if (model) found.push({ id: basename(org), folder: model });
    for (const path of await subfolders(org)) {
      const folder = await modelIn(path);
      if (folder) found.push({ id: `${basename(org)}/${basename(path)}`, folder });
    }
  }
  return found;
}

async function subfolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [] as Dirent[]);
  const names = entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink());
  return names.map((entry) => join(folder, entry.name)).sort();
}

async function isFolder(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isDirectory() ?? false;
}

/** A GGUF file of the working directory needs no ./ before its name. */
async function isLocalGguf(name: string): Promise<boolean> {
  return isGgufFile(name) && ((await stat(name).catch(() => undefined))?.isFile() ?? false);
}

async function existingModel(path: string, name: string): Promise<string> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile() && isGgufFile(path)) return resolve(path);
  if (stats?.isDirectory()) {
    const model = await modelIn(path);
    if (model) return resolve(model);
    const models = await treeModels(path);
    if (models.length === 0) return resolve(path);
    throw severalModels(resolve(path), models);
  }
  if (!stats) throw await notFound(name, [`the folder ${resolve(path)}`]);
  throw new ModelLoadError(`${resolve(path)} is not a folder.`, {
    code: "bad_config",
    hint: "Give the folder that holds config.json and the weights, or a GGUF file.",
  });
}

function describe({ label, folder }: ModelPlace): string {
  return `${label} (${folder})`;
}

function severalModels(folder: string, models: FoundModel[]): ConfigurationError {
  const names = models.map(({ id }) => id).join(", ");
  return new ConfigurationError(`${folder} is not a model, but a folder of models: ${names}.`, {
    hint: `Name the model too, for example "${models[0]!.id}".`,
  });
}

function adapterNotFound(name: string, path: string): ModelNotFoundError {
  const message = `There is no adapter "${name}": ${path} is not a folder, and none of that name was pulled.`;
  return new ModelNotFoundError(message, {
    model: name,
    hint: "Give the folder that holds adapter_config.json, or org/name of one that was pulled.",
  });
}

function notAName(name: string): ModelNotFoundError {
  return new ModelNotFoundError(`"${name}" is not a model name.`, {
    model: name,
    hint: 'A name is "org/name", "org/name@revision" or "demo"; write ./ before a folder\'s path.',
  });
}

async function notFound(
  name: string,
  lookedAt: string[],
  search?: ModelSearch,
): Promise<ModelNotFoundError> {
  const known = search ? await listModelFolders(search) : [];
  const near = nearestName(
    name,
    known.map(({ id }) => id),
  );
  const get =
    name.includes("/") && !looksLikePath(name) ? `Get it with "llm-client pull ${name}". ` : "";
  const hint = near
    ? `Did you mean "${near}"? ${get}"llm-client models" lists the models on this machine.`
    : `${get}"llm-client models" lists the models on this machine; "demo" comes with the package.`;
  return new ModelNotFoundError(
    `Model "${name}" was not found. Looked at ${lookedAt.join(", ")}.`,
    { model: name, hint },
  );
}
