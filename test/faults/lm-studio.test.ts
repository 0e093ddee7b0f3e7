import {
  AuthenticationError,
  ContextLengthError,
  ModelLoadError,
  ModelNotFoundError,
  ProtocolError,
} from "../../src/index.js";
import { lmStudioFaults } from "../servers/faults/lm-studio.js";
import { type Cell, fails, type Table } from "./cells.js";
import { describeFaults } from "./matrix.js";

jest.setTimeout(120_000);

const only = (cell: Cell) => ({ whole: { lmStudio: cell, others: "only LM Studio says so" } });
const notLoaded = (status: number) => only(fails(ModelLoadError, "model_not_loaded", { status }));
const loadFailed = only(fails(ModelLoadError, "model_load_failed", { status: 400 }));
const unloaded = only(fails(ModelLoadError, "model_unloaded", { status: 400, retries: 1 }));
const overflow = (status?: number) =>
  only(fails(ContextLengthError, "context_length_exceeded", { status }));
const unauthorized = only(fails(AuthenticationError, "auth", { status: 401 }));

const table: Table<typeof lmStudioFaults> = {
  "lm-studio-unexpected-endpoint": only(fails(ProtocolError, "protocol", { status: 200 })),
  "lm-studio-model-not-found": only(fails(ModelNotFoundError, "model_not_found", { status: 400 })),
  "lm-studio-nothing-loaded": notLoaded(400),
  "lm-studio-nothing-loaded-old": notLoaded(404),
  "lm-studio-crashed": only(fails(ModelLoadError, "model_crashed", { status: 400, retries: 1 })),
  "lm-studio-unloaded": unloaded,
  "lm-studio-is-unloaded": unloaded,
  "lm-studio-load-failed": loadFailed,
  "lm-studio-guardrail": loadFailed,
  "lm-studio-overflow": overflow(400),
  "lm-studio-overflow-old": overflow(400),
  "lm-studio-overflow-in-stream": overflow(),
  "lm-studio-internal": overflow(500),
  "lm-studio-missing-token": unauthorized,
  "lm-studio-malformed-token": unauthorized,
};

describeFaults(lmStudioFaults, table);
