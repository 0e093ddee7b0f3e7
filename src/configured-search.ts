import { resolve } from "node:path";
import { resolveConfig } from "./config/settings.js";
import { expandHome } from "./home-folder.js";
import type { ModelSearch } from "./mlx/model-names.js";

/** Where a client without settings of its own would look for MLX models: names mean the same. */
export function configuredSearch(): ModelSearch {
  const { legs } = resolveConfig({ provider: "mlx" });
  const { baseUrl } = legs[0]!;
  if (baseUrl === undefined || /^https?:/i.test(baseUrl)) return {};
  return { folders: [resolve(expandHome(baseUrl))] };
}
