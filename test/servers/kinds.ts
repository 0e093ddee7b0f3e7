import type { LegConfig } from "../../src/index.js";
import { type FakeLmStudio, startFakeLmStudio } from "./fake-lm-studio.js";
import { type FakeOllama, startFakeOllama } from "./fake-ollama.js";

/** A fake server of any kind. */
export type Fake = FakeOllama | FakeLmStudio;

/** A way in which this package talks to servers. */
export interface Kind {
  title: string;
  start(): Promise<Fake>;
  leg(fake: Fake): LegConfig;
  /** A model that calls tools. */
  toolModel: string;
}

const startOllama = () => startFakeOllama();
const startLmStudio = () => startFakeLmStudio({ loaded: ["tiny-chat"] });

/** Each way in which this package talks to a server. */
export const KINDS = {
  ollama: {
    title: "Ollama",
    start: startOllama,
    leg: ({ url }) => ({ provider: "ollama", baseUrl: url, model: "tiny" }),
    toolModel: "tiny-tools",
  },
  ollamaOpenAI: {
    title: "Ollama under /v1",
    start: startOllama,
    leg: ({ url }) => ({ provider: "ollama", baseUrl: `${url}/v1`, model: "tiny" }),
    toolModel: "tiny-tools",
  },
  lmStudio: {
    title: "LM Studio",
    start: startLmStudio,
    leg: ({ url }) => ({ provider: "lmstudio", baseUrl: url, model: "tiny-chat" }),
    toolModel: "tiny-chat",
  },
  // What differs from LM Studio is not on the wire of a chat.
  mlxServer: {
    title: "an MLX server",
    start: startLmStudio,
    leg: ({ url }) => ({ provider: "mlx", baseUrl: url, model: "tiny-chat" }),
    toolModel: "tiny-chat",
  },
} satisfies Record<string, Kind>;

export type KindName = keyof typeof KINDS;

/** The names of all kinds. */
export const KIND_NAMES = Object.keys(KINDS) as KindName[];
