import type { Failure } from "../failures.js";
import type { Protocol } from "../protocol.js";

const TYPES: Record<number, string> = {
  401: "authentication_error",
  403: "permission_error",
  429: "rate_limit_error",
};

/** OpenAI's error object. */
export function errorBody({ status, code, message, field }: Failure): object {
  const type = TYPES[status] ?? (status < 500 ? "invalid_request_error" : "server_error");
  return { error: { message, type, param: field ?? null, code } };
}

/** How OpenAI's API speaks of errors. */
export const openAi: Protocol = { name: "openai", errorBody };
