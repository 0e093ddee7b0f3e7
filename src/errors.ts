import type { Attempt } from "./types.js";

// First, because the classes below already need it when they are defined.
const DEFAULTS = Symbol("defaults");

/** What an error knows besides its message; every field also stands on the error itself. */
export interface LLMErrorDetails {
  /** Stable snake_case name of the failure; each class has its own default. */
  code?: string;
  /** Provider that failed, for example "mlx". */
  provider?: string;
  /** Model that was asked for. */
  model?: string;
  /** Address or folder that was used; credentials in it are removed. */
  url?: string;
  /** HTTP status, where there was one. */
  status?: number;
  /** True if the same request may work when sent again. */
  retryable?: boolean;
  /** Seconds to wait before trying again, as told by the server. */
  retryAfter?: number;
  /** Id of the request that failed. */
  requestId?: string;
  /** Everything that was tried, in order. */
  attempts?: Attempt[];
  /** What to do next, as a sentence. */
  hint?: string;
  /** Text that had been generated before the failure. */
  partial?: string;
  /** The error underneath. */
  cause?: unknown;
}

/**
 * Base of every error that this package throws.
 * @example
 * try { await client.generate("Hello"); } catch (error) { if (LLMError.is(error)) console.error(error.code, error.hint); }
 */
export class LLMError extends Error {
  static {
    define(LLMError, "LLMError", "error");
  }

  readonly code: string;
  readonly retryable: boolean;
  // Declared only, so that an error shows no fields that it does not have.
  declare readonly provider?: string;
  declare readonly model?: string;
  declare readonly url?: string;
  declare readonly status?: number;
  declare readonly retryAfter?: number;
  declare readonly requestId?: string;
  declare readonly attempts?: Attempt[];
  declare readonly hint?: string;
  declare readonly partial?: string;

  constructor(message: string, details: LLMErrorDetails = {}) {
    super(
      redactSecrets(message),
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    const defaults = defaultsOf(this);
    const {
      cause: _cause,
      code = defaults.code,
      retryable = defaults.retryable,
      ...rest
    } = details;
    this.code = code;
    this.retryable = retryable;
    for (const [field, value] of Object.entries(rest)) {
      if (value === undefined) continue;
      const safe = field === "url" || field === "hint" ? redactSecrets(String(value)) : value;
      Object.assign(this, { [field]: safe });
    }
  }

  /**
   * Tells whether a value is an error of this class, even one from another copy of the package.
   * @example AbortError.is(error)
   */
  static is<E extends LLMError>(this: { readonly prototype: E }, value: unknown): value is E {
    // biome-ignore lint/complexity/noThisInStatic: each subclass asks for its own brand
    const brand = brandOf(this.prototype.name);
    return typeof value === "object" && value !== null && brand in value;
  }

  /** The same error with more details; its code, message and stack stay. */
  with(details: LLMErrorDetails): this {
    const errorClass = this.constructor as new (message: string, details: LLMErrorDetails) => this;
    const { cause, code, stack } = this;
    const given = Object.entries(details).filter(([, value]) => value !== undefined);
    const all = { ...this, cause, ...Object.fromEntries(given), code };
    return Object.assign(new errorClass(this.message, all), { stack });
  }

  /** Plain data for logs, without secrets and without the stack. */
  toJSON(): Record<string, unknown> {
    const { name, message, code, provider, model, url, status, retryable, retryAfter } = this;
    const { requestId, hint, partial, attempts } = this;
    const json = { name, message, code, provider, model, url, status, retryable, retryAfter };
    const cause = this.cause === undefined ? undefined : describeCause(this.cause);
    return withoutSecrets({ ...json, requestId, hint, partial, attempts, cause });
  }
}

/** A setting is wrong: unknown, out of range, or not available in this version. */
export class ConfigurationError extends LLMError {
  static {
    define(ConfigurationError, "ConfigurationError", "configuration");
  }
}

/** The server could not be reached, or the connection broke before any answer. */
export class ConnectionError extends LLMError {
  static {
    define(ConnectionError, "ConnectionError", "connection_failed", true);
  }
}

/** The server refused the credentials, or wants some. */
export class AuthenticationError extends LLMError {
  static {
    define(AuthenticationError, "AuthenticationError", "auth");
  }
}

/** No model of that name where it was looked for. */
export class ModelNotFoundError extends LLMError {
  static {
    define(ModelNotFoundError, "ModelNotFoundError", "model_not_found");
  }
}

/** The server wants fewer requests; `retryAfter` tells how long to wait. */
export class RateLimitError extends LLMError {
  static {
    define(RateLimitError, "RateLimitError", "rate_limited", true);
  }
}

/** A time limit ran out; the code tells which: first_content_timeout, idle_timeout or deadline_exceeded. */
export class TimeoutError extends LLMError {
  static {
    define(TimeoutError, "TimeoutError", "timeout");
  }
}

/** The request itself is wrong: a bad value, an unknown field, an option that the provider lacks. */
export class ValidationError extends LLMError {
  static {
    define(ValidationError, "ValidationError", "validation");
  }
}

/** Generating failed although the request was good. */
export class GenerationError extends LLMError {
  static {
    define(GenerationError, "GenerationError", "generation_failed");
  }
}

/** The prompt does not fit into the context of the model. */
export class ContextLengthError extends GenerationError {
  static {
    define(ContextLengthError, "ContextLengthError", "context_length_exceeded");
  }
}

/** The stream broke after text had been delivered; `partial` holds that text. */
export class StreamInterruptedError extends GenerationError {
  static {
    define(StreamInterruptedError, "StreamInterruptedError", "stream_interrupted");
  }
}

/** The server answered with something that is not its protocol. */
export class ProtocolError extends GenerationError {
  static {
    define(ProtocolError, "ProtocolError", "protocol");
  }
}

/** The provider cannot be used on this machine; the message tells why. */
export class ProviderUnavailableError extends GenerationError {
  static {
    define(ProviderUnavailableError, "ProviderUnavailableError", "provider_unavailable");
  }
}

/** The files of the model are broken, of an unsupported kind, or too large for this machine. */
export class ModelLoadError extends GenerationError {
  static {
    define(ModelLoadError, "ModelLoadError", "model_load_failed");
  }
}

/** The caller ended the work; `partial` holds the text generated until then. */
export class AbortError extends GenerationError {
  static {
    define(AbortError, "AbortError", "aborted");
  }
}

/** Every provider of the chain failed; `attempts` tells how. */
export class AllProvidersFailedError extends GenerationError {
  static {
    define(AllProvidersFailedError, "AllProvidersFailedError", "all_providers_failed");
  }
}

/** The error itself if it is one of this package, else one that has it as its cause. */
export function typedError(error: unknown, what = "Generating"): LLMError {
  if (LLMError.is(error)) return error;
  return new GenerationError(`${what} failed: ${String(error)}`, { cause: error });
}

interface ClassDefaults {
  code: string;
  retryable: boolean;
}

// On the prototype, so that the stack already shows the right name and subclasses inherit the brand.
function define(
  errorClass: { prototype: object },
  name: string,
  code: string,
  retryable = false,
): void {
  // Bundling gives a class that speaks of itself another one.
  Object.defineProperty(errorClass, "name", { value: name, configurable: true });
  Object.defineProperties(errorClass.prototype, {
    name: { value: name, configurable: true, writable: true },
    [DEFAULTS]: { value: { code, retryable } satisfies ClassDefaults },
    [brandOf(name)]: { value: true },
  });
}

function defaultsOf(error: object): ClassDefaults {
  return (error as { [DEFAULTS]: ClassDefaults })[DEFAULTS];
}

function brandOf(name: string): symbol {
  return Symbol.for(`mlx-llm-client.${name}`);
}

const SECRET_NAME = "(?:api[-_]?key|authorization|token|secret|password)";
const QUOTE = `\\\\?["']`;

const SECRET_PATTERNS: [RegExp, string][] = [
  // user:password@ in an address
  [/(:\/\/)[^\s/]*@/g, "$1[redacted]@"],
  // api_key=…, "apiKey": "…", Authorization: Bearer …
  [
    new RegExp(
      `(${SECRET_NAME}(?:${QUOTE})?\\s*[:=]\\s*)` +
        `(?:(${QUOTE})(?:(?!\\2).)+\\2` +
        `|((?:${QUOTE})?(?:(?:Bearer|Basic|Token)\\s+)?)(?:[^\\s"'&,;}\\\\]|\\\\(?!["']))+)`,
      "gi",
    ),
    "$1$2$3[redacted]$2",
  ],
  [/\b(Bearer\s+)[\w.~+/=:-]{16,}/gi, "$1[redacted]"],
  // Keys of many services; models and their folders are named alike.
  [/(?<![\w/\\-])(sk-|hf_)[\w:-]{8,}/g, "$1[redacted]"],
];

/** Replaces API keys, authorization headers and credentials in addresses by "[redacted]". */
export function redactSecrets(text: string): string {
  return SECRET_PATTERNS.reduce((result, [pattern, by]) => result.replace(pattern, by), text);
}

const SECRET_FIELD = new RegExp(`${SECRET_NAME}$`, "i");

function withoutSecrets<T>(value: T): T {
  if (typeof value === "string") return redactSecrets(value) as T;
  if (Array.isArray(value)) return value.map((item: unknown) => withoutSecrets(item)) as T;
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .filter(([, item]) => item !== undefined)
    .map(([key, item]) => [key, SECRET_FIELD.test(key) ? "[redacted]" : withoutSecrets(item)]);
  return Object.fromEntries(entries) as T;
}

// Only name, message and code: a foreign error may carry headers or bodies.
function describeCause(cause: unknown): unknown {
  if (LLMError.is(cause)) return cause.toJSON();
  if (typeof cause !== "object" || cause === null) return String(cause);
  const { name, message, code } = cause as { name?: unknown; message?: unknown; code?: unknown };
  return { name, message, code: typeof code === "string" ? code : undefined };
}
