import type { Fault } from "./faults/fault.js";
import { lmStudioFaults } from "./faults/lm-studio.js";
import { ollamaFaults } from "./faults/ollama.js";
import { statusFaults } from "./faults/statuses.js";
import { streamFaults } from "./faults/streams.js";
import { transportFaults } from "./faults/transport.js";

export { STAGES, type FaultSettings, type Stage } from "./faults/fault.js";

/** Every way in which a fake can fail, by name. */
export const FAULTS = {
  ...transportFaults,
  ...streamFaults,
  ...statusFaults,
  ...ollamaFaults,
  ...lmStudioFaults,
} satisfies Record<string, Fault>;

export type FaultName = keyof typeof FAULTS;

/** The names of all faults, for tests that go through them. */
export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];
