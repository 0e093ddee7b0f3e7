import type { Protocol } from "../protocol.js";

/** How Ollama's API speaks of errors. */
export const ollama: Protocol = {
  name: "ollama",
  errorBody: ({ message, code }) => ({ error: message, code }),
};
