import type { Json } from "./json-file.js";
import { readTemplates } from "./template-sources.js";
import type { ModelFiles } from "./model-files.js";

/** The kinds of models whose images are read, and a tensor without which they only read text. */
const TOWERS: Record<string, string> = {
  gemma3: "vision_tower.vision_model.embeddings.patch_embedding.weight",
};

/** What a model can do, as its files and its chat template tell. */
export async function capabilitiesOf({
  folder,
  sees,
  purpose,
}: Pick<ModelFiles, "folder" | "sees" | "purpose">): Promise<string[]> {
  if (purpose !== "generating") return [purpose];
  const capabilities = ["completion"];
  // A broken template is told when the model is used.
  const template = (await readTemplates(folder).catch(() => [])).join("\n");
  if (/\btools\b/.test(template)) capabilities.push("tools");
  if (/\benable_thinking\b|<think>/.test(template)) capabilities.push("thinking");
  if (sees) capabilities.push("vision");
  return capabilities;
}

/** Whether a model with tensors of these names reads images; many are cut down to text. */
export function seesImages({ model_type }: Json, tensors: ReadonlySet<string>): boolean {
  const tower = TOWERS[String(model_type)];
  return tower !== undefined && tensors.has(tower);
}
