import {
  AuthenticationError,
  ContextLengthError,
  GenerationError,
  type LLMError,
  type LLMErrorDetails,
  ModelLoadError,
  ModelNotFoundError,
  ProtocolError,
  RateLimitError,
  ValidationError,
} from "../errors.js";
import type { ServerText } from "./server-text.js";
import { SERVERS } from "./servers.js";
import type { Where } from "./where.js";

/** What is known of a failure. */
export interface Failure {
  status?: number;
  said: ServerText;
  where: Where;
  retryAfter?: number | undefined;
}

/** One kind of failure: its error, the sentence that opens the message, and what to do. */
export interface Kind {
  error: new (message: string, details: LLMErrorDetails) => LLMError;
  code: string;
  retryable?: boolean;
  says(server: string, model: string): string;
  hint?(failure: Failure): string | undefined;
}

/** The kinds of failures. */
export const KINDS = {
  auth: {
    error: AuthenticationError,
    code: "auth",
    says: (server) => `${server} refused the credentials`,
    hint: ({ status, said, where }) => {
      if (where.provider === "ollama" && status === 403 && said.line === "") {
        return "It accepts only this machine's own names as host: where it runs, set OLLAMA_HOST=0.0.0.0 (for web pages also OLLAMA_ORIGINS).";
      }
      return where.secret
        ? "Check apiKey, or the user in baseUrl, and leave it out if the server wants none."
        : SERVERS[where.provider].authenticate;
    },
  },
  modelNotFound: {
    error: ModelNotFoundError,
    code: "model_not_found",
    says: (server, model) => `${server} does not have ${model}`,
    hint: ({ where }) => where.model && SERVERS[where.provider].get(where.model),
  },
  modelNotLoaded: {
    error: ModelLoadError,
    code: "model_not_loaded",
    says: (server) => `${server} has no model loaded`,
    hint: ({ where }) =>
      where.provider === "lmstudio"
        ? `Load it with \`lms load ${where.model ?? "<model>"}\`, or switch on just-in-time loading.`
        : undefined,
  },
  modelUnloaded: {
    error: ModelLoadError,
    code: "model_unloaded",
    retryable: true,
    says: (server, model) => `${server} unloaded ${model} meanwhile`,
  },
  modelCrashed: {
    error: ModelLoadError,
    code: "model_crashed",
    retryable: true,
    says: (server, model) => `${server} crashed with ${model}`,
  },
  modelLoadFailed: {
    error: ModelLoadError,
    code: "model_load_failed",
    says: (server, model) => `${server} could not load ${model}`,
    hint: () => "If memory is short, use a smaller model or context, or unload other models.",
  },
  contextLength: {
    error: ContextLengthError,
    code: "context_length_exceeded",
    says: (server, model) => `The prompt does not fit into the context of ${model} on ${server}`,
    hint: ({ where }) =>
      where.provider === "ollama"
        ? "Shorten it, or raise num_ctx in providerOptions.ollama.options."
        : "Shorten it, or load the model with a larger context.",
  },
  unsupported: {
    error: ValidationError,
    code: "unsupported",
    says: (server, model) => `${server} cannot do that with ${model}`,
  },
  overloaded: {
    error: RateLimitError,
    code: "overloaded",
    retryable: true,
    says: (server) => `${server} is busy`,
  },
  rateLimited: {
    error: RateLimitError,
    code: "rate_limited",
    retryable: true,
    says: (server) => `${server} wants fewer requests`,
  },
  requestTimeout: {
    error: GenerationError,
    code: "request_timeout",
    retryable: true,
    says: (server) => `${server} waited too long for the request`,
  },
  conflict: {
    error: GenerationError,
    code: "conflict",
    retryable: true,
    says: (server) => `${server} has a conflict with another request`,
  },
  canceled: {
    error: GenerationError,
    code: "canceled_by_server",
    says: (server) => `${server} canceled the request`,
  },
  serverError: {
    error: GenerationError,
    code: "server_error",
    retryable: true,
    says: (server) => `${server} failed`,
  },
  quota: {
    error: RateLimitError,
    code: "quota_exceeded",
    says: (server) => `${server} does not answer this account any more`,
  },
  badRequest: {
    error: ValidationError,
    code: "bad_request",
    says: (server) => `${server} refused the request`,
  },
  protocol: {
    error: ProtocolError,
    code: "protocol",
    says: (server) => `The answer is not what ${server} sends`,
    hint: ({ status, where }) => {
      const { name } = SERVERS[where.provider];
      return status !== undefined && status >= 300 && status < 400
        ? "Redirects are not followed: set baseUrl to the right address."
        : `Is ${where.url} the address of ${name}, and is it recent enough?`;
    },
  },
} satisfies Record<string, Kind>;
