import type { Failure } from "../failures.js";
import type { Protocol } from "../protocol.js";

const TYPES: Record<number, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  501: "invalid_request_error",
  503: "overloaded_error",
  504: "timeout_error",
};

/** Anthropic's error object. */
export function errorBody({ status, code, message }: Failure, requestId: string): object {
  const error = { type: TYPES[status] ?? "api_error", message, code };
  return { type: "error", error, request_id: requestId };
}

/** How Anthropic's API speaks of errors. */
export const anthropic: Protocol = {
  name: "anthropic",
  // It has a status of its own for that.
  statusOf: ({ status }) => (status === 503 ? 529 : status),
  errorBody,
};
