import {
  AuthenticationError,
  ContextLengthError,
  GenerationError,
  ModelLoadError,
  ModelNotFoundError,
  ProtocolError,
  RateLimitError,
  ValidationError,
} from "../../src/index.js";
import { ollamaFaults } from "../servers/faults/ollama.js";
import { type Cell, fails, type Table } from "./cells.js";
import { describeFaults } from "./matrix.js";

jest.setTimeout(120_000);

const only = (cell: Cell) => {
  const why = "only Ollama says so";
  return { whole: { lmStudio: why, mlxServer: why, others: cell } };
};
const refused = (status: number) =>
  only(fails(ValidationError, "bad_request", { status, canBeReplaced: false }));
const notFound = only(fails(ModelNotFoundError, "model_not_found", { status: 404 }));
const unsupported = only(fails(ValidationError, "unsupported", { status: 400 }));
const overflow = only(fails(ContextLengthError, "context_length_exceeded", { status: 400 }));
const unauthorized = (status: number) => only(fails(AuthenticationError, "auth", { status }));
const loadFailed = only(fails(ModelLoadError, "model_load_failed", { status: 500 }));
const crashed = only(fails(ModelLoadError, "model_crashed", { status: 500, retries: 1 }));
const foreign = (status: number) => only(fails(ProtocolError, "protocol", { status }));

const table: Table<typeof ollamaFaults> = {
  "ollama-missing-body": refused(400),
  "ollama-model-required": refused(400),
  "ollama-model-not-found": notFound,
  "ollama-model-not-found-by-scheduler": notFound,
  "ollama-no-tools": unsupported,
  "ollama-no-thinking": unsupported,
  "ollama-no-chat": unsupported,
  "ollama-bad-format": refused(500),
  "ollama-overflow": overflow,
  "ollama-overflow-of-llama-server": overflow,
  "ollama-cloud-unauthorized": unauthorized(401),
  "ollama-cloud-disabled": unauthorized(403),
  "ollama-foreign-host": unauthorized(403),
  "ollama-busy": only(fails(RateLimitError, "overloaded", { status: 503, retries: 2 })),
  "ollama-canceled": only(fails(GenerationError, "canceled_by_server", { status: 499 })),
  "ollama-out-of-memory": loadFailed,
  "ollama-broken-weights": loadFailed,
  "ollama-runner-terminated": crashed,
  "ollama-runner-died": crashed,
  "ollama-page-not-found": foreign(404),
  "ollama-method-not-allowed": foreign(405),
};

describeFaults(ollamaFaults, table);
