import { readTemplates } from "./template-sources.js";
import { isObject, type Json } from "./json-file.js";

/** What a model can do, as its configuration and its chat template tell. */
export async function capabilitiesOf(folder: string, config: Json): Promise<string[]> {
  const capabilities = ["completion"];
  // A broken template is told when the model is used.
  const template = (await readTemplates(folder).catch(() => [])).join("\n");
  if (/\btools\b/.test(template)) capabilities.push("tools");
  if (/\benable_thinking\b|<think>/.test(template)) capabilities.push("thinking");
  if (isObject(config.vision_config)) capabilities.push("vision");
  return capabilities;
}
