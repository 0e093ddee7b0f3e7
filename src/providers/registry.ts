import type { Settings } from "../config.js";
import { MlxProvider } from "./mlx.js";
import type { Provider } from "./provider.js";

const FACTORIES: Partial<Record<Settings["provider"], (settings: Settings) => Provider>> = {
  mlx: ({ model, baseUrl }) => new MlxProvider({ model, folder: baseUrl }),
};

/** The provider that a configuration asks for. */
export function createProvider(settings: Settings): Provider {
  // `resolveConfig` lets only those pass that are here.
  return FACTORIES[settings.provider]!(settings);
}
