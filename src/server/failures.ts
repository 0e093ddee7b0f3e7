import { LLMError } from "../index.js";

/** What went wrong, as every protocol tells it in its own words. */
export interface Failure {
  /** HTTP status. */
  status: number;
  code: string;
  message: string;
  /** Field of the request that is wrong, where it is known. */
  field?: string | undefined;
  /** Seconds after which it may work. */
  retryAfter?: number | undefined;
  /** Whether the same request may work when it is sent again. */
  retryable: boolean;
}

/** A request that the server itself does not take. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: { field?: string | undefined; retryAfter?: number } = {},
  ) {
    super(message);
  }
}

/** The refusal of what this server, or the provider behind it, does not do at all. */
export function notSupported(what: string): Refusal {
  return new Refusal(501, "not_supported", `${what} is not supported here.`);
}

/** Throws what nothing behind this server does as such a refusal, and anything else as it is. */
export function refuseUnsupported(error: unknown): never {
  if (!LLMError.is(error) || error.code !== "unsupported") throw error;
  const { message, hint } = error;
  throw new Refusal(501, "not_supported", hint === undefined ? message : `${message} ${hint}`);
}

/** The status of each code; any other is of the server or of what stands behind it. */
const STATUS: Record<string, number> = {
  validation: 400,
  bad_request: 400,
  unsupported: 400,
  context_length_exceeded: 400,
  model_not_found: 404,
  gated: 403,
  rate_limited: 429,
  quota_exceeded: 429,
  aborted: 499,
  closed: 503,
  overloaded: 503,
  provider_unavailable: 503,
  insufficient_memory: 503,
  out_of_memory: 503,
  cache_too_large: 503,
  connection_refused: 502,
  connection_failed: 502,
  connection_reset: 502,
  dns: 502,
  tls: 502,
  auth: 502,
  protocol: 502,
  stream_truncated: 502,
  empty_response: 502,
  model_mismatch: 502,
  stream_interrupted: 502,
  all_providers_failed: 502,
  connect_timeout: 504,
  first_content_timeout: 504,
  idle_timeout: 504,
  timeout: 504,
  deadline_exceeded: 504,
};

/** The failure that an error is: the one table from this package's errors to HTTP. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Refusal) {
    const { status, code, message, details } = error;
    return { status, code, message, ...details, retryable: status === 503 };
  }
  if (!LLMError.is(error)) {
    return { status: 500, code: "internal", message: "The server failed.", retryable: false };
  }
  const { message, hint, retryAfter, retryable } = error;
  const code = sharedCode(error);
  return {
    status: STATUS[code] ?? 500,
    code,
    message: hint === undefined ? message : `${message} ${hint}`,
    retryAfter,
    retryable,
  };
}

/** Where all providers failed for one reason, that is the reason. */
function sharedCode({ code, attempts = [] }: LLMError): string {
  if (code !== "all_providers_failed") return code;
  const codes = new Set(attempts.flatMap((attempt) => attempt.code ?? []));
  return codes.size === 1 ? [...codes][0]! : code;
}
