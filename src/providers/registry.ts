import { ConfigurationError } from "../errors.js";
import type { LegSettings } from "../config/settings.js";
import { LmStudioProvider } from "./lmstudio.js";
import { MlxProvider } from "./mlx.js";
import { OllamaProvider } from "./ollama.js";
import { OpenAiCompatibleProvider } from "./openai-compatible.js";
import type { Provider } from "./provider.js";

/** The provider that settings ask for. */
export function createProvider(settings: LegSettings): Provider {
  const { provider, model, baseUrl, promptCacheBytes, promptCacheFolder, idleUnload } = settings;
  if (provider === "mlx" && !isAddress(baseUrl)) {
    const promptCache = { promptCacheBytes, promptCacheFolder };
    const folder = baseUrl;
    return new MlxProvider({ model, folder, ...promptCache, idleUnload, download: settings });
  }
  if (baseUrl === undefined) throw new ConfigurationError(`Provider ${provider} has no baseUrl.`);
  const server = { ...settings, baseUrl };
  if (provider === "lmstudio") return new LmStudioProvider(server);
  // Ollama's own API tells more, so its OpenAI-compatible one is used only if it is asked for.
  const isOpenAi = provider === "mlx" || /\/v1$/.test(baseUrl);
  return isOpenAi ? new OpenAiCompatibleProvider(provider, server) : new OllamaProvider(server);
}

function isAddress(baseUrl: string | undefined): boolean {
  return /^https?:/i.test(baseUrl ?? "");
}
