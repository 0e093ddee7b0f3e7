import {
  AuthenticationError,
  GenerationError,
  ProtocolError,
  RateLimitError,
  ValidationError,
} from "../../src/index.js";
import { statusFaults } from "../servers/faults/statuses.js";
import { fails, recovers, type Table } from "./cells.js";
import { describeFaults } from "./matrix.js";

jest.setTimeout(120_000);

const failed = (status: number) => ({
  whole: fails(GenerationError, "server_error", { status, retries: 2 }),
});
const busy = (status: number) => ({
  whole: fails(RateLimitError, "overloaded", { status, retries: 2 }),
});
const refused = (status: number) => ({
  whole: fails(ValidationError, "bad_request", { status, canBeReplaced: false }),
});
const unauthorized = (status: number) => ({
  whole: fails(AuthenticationError, "auth", { status }),
});
const foreign = (status: number) => ({ whole: fails(ProtocolError, "protocol", { status }) });

/** No byte of a stream of lines has come, but events cannot come from a body of another type. */
const noStream = {
  whole: {
    ollama: fails(ProtocolError, "stream_truncated"),
    others: fails(ProtocolError, "protocol"),
  },
};

const table: Table<typeof statusFaults> = {
  status: failed(500),
  "server-error": failed(500),
  "bad-gateway": failed(502),
  "gateway-timeout": failed(504),
  unavailable: busy(503),
  overloaded: busy(529),
  "request-timeout": {
    whole: fails(GenerationError, "request_timeout", { status: 408, retries: 2 }),
  },
  conflict: { whole: fails(GenerationError, "conflict", { status: 409, retries: 2 }) },
  "rate-limited": { whole: fails(RateLimitError, "rate_limited", { status: 429, retries: 2 }) },
  "rate-limited-seconds": { whole: recovers([1, 1]) },
  "rate-limited-milliseconds": { whole: recovers([0.05, 0.05]) },
  "rate-limited-date": { whole: recovers([0, 2]) },
  "rate-limited-long": { whole: fails(RateLimitError, "rate_limited", { status: 429 }) },
  "bad-request": refused(400),
  unprocessable: refused(422),
  unauthorized: unauthorized(401),
  "forbidden-empty": unauthorized(403),
  html: foreign(200),
  "html-not-found": foreign(404),
  "error-with-200": failed(200),
  "error-text-with-200": failed(200),
  "empty-body": noStream,
  "not-json": noStream,
  "wrong-shape": { whole: fails(ProtocolError, "protocol") },
  redirect: foreign(307),
};

describeFaults(statusFaults, table);
