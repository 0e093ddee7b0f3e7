import type { ProviderName } from "../types.js";

/** What the texts of errors say about a kind of server. */
export interface Server {
  name: string;
  /** What to do if nobody answers. */
  start: string;
  /** What to do if a model is missing. */
  get(model: string): string;
  /** What to do if the server wants credentials. */
  authenticate: string;
}

/** The servers by provider, in words. */
export const SERVERS: Record<ProviderName, Server> = {
  ollama: {
    name: "Ollama",
    start: "Is Ollama running? Start it with `ollama serve`.",
    get: (model) => `Get it with \`ollama pull ${model}\`.`,
    authenticate: "Sign in with `ollama signin`, or set apiKey if the server is behind a key.",
  },
  lmstudio: {
    name: "LM Studio",
    start: "Is LM Studio's server running? Start it with `lms server start`.",
    get: (model) => `Get it with \`lms get ${model}\`, or load it in LM Studio.`,
    authenticate: "Set apiKey or LMSTUDIO_API_KEY to a token made in LM Studio.",
  },
  mlx: {
    name: "mlx_lm.server",
    start: "Is it running? Start it with `mlx_lm.server --model <folder or name>`.",
    get: (model) => `Start the server with it: \`mlx_lm.server --model ${model}\`.`,
    authenticate: "Set apiKey to the key that the server wants.",
  },
};
