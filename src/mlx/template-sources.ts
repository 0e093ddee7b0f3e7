import { ModelLoadError } from "../errors.js";
import { isObject, type Json } from "./json-file.js";
import { placeOf, readModelJson, readModelText } from "./model-texts.js";
import { readTokenizerConfig } from "./tokenizer-files.js";

/** The text of a chat template. */
export interface Source {
  text: string;
  /** For messages: the file, and the template's name if it has several. */
  place: string;
}

/** A template file of more bytes is refused; those of real models have some ten thousand. */
const LARGEST_FILE = 1024 * 1024;

/** The chat templates of a model's folder, by name. */
export async function findSources(folder: string, config: Json): Promise<Map<string, Source>> {
  const file = "chat_template.jinja";
  const text = await readModelText(folder, file, "bad_template", LARGEST_FILE);
  if (text !== undefined) return new Map([["default", { text, place: placeOf(folder, file) }]]);
  const inConfig = namedSources(config.chat_template, placeOf(folder, "tokenizer_config.json"));
  if (inConfig.size > 0) return inConfig;
  const legacy = "chat_template.json";
  const json = await readModelJson(folder, legacy, "bad_template");
  return namedSources(json?.chat_template, placeOf(folder, legacy));
}

/** A template is a string, or several are a list of names with templates. */
function namedSources(value: unknown, place: string): Map<string, Source> {
  if (value === undefined || value === null) return new Map();
  if (typeof value === "string") return new Map([["default", { text: value, place }]]);
  const entries = Array.isArray(value) ? value : [value];
  return new Map(
    entries.map((entry) => {
      if (isObject(entry) && typeof entry.name === "string" && typeof entry.template === "string") {
        return [entry.name, { text: entry.template, place: `${place} (template "${entry.name}")` }];
      }
      throw badTemplate(place, "has a chat template that is neither text nor a list of templates");
    }),
  );
}

/** The texts of all chat templates that a model's folder has. */
export async function readTemplates(folder: string): Promise<string[]> {
  const sources = await findSources(folder, await readTokenizerConfig(folder));
  return [...sources.values()].map(({ text }) => text);
}

/** The error of a chat template that cannot be used. */
export function badTemplate(place: string, reason: string, cause?: unknown): ModelLoadError {
  return new ModelLoadError(`${place} ${reason}.`, {
    code: "bad_template",
    hint: "Repair the template, or use the prompt as it is, without one.",
    cause,
  });
}
