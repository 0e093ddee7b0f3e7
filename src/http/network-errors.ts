import { ConnectionError, LLMError, ProtocolError, ValidationError } from "../errors.js";
import type { Stage } from "./exchange.js";
import { type Server, SERVERS } from "./servers.js";
import type { Where } from "./where.js";

const LOST = /^(ECONNRESET|EPIPE|ECONNABORTED|UND_ERR_SOCKET|UND_ERR_RES_CONTENT_LENGTH_MISMATCH)$/;
const NOT_TLS = /^(EPROTO|ERR_SSL_WRONG_VERSION_NUMBER|ERR_SSL_PACKET_LENGTH_TOO_LONG)$/;
const TOO_SLOW = /^(UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT|ETIMEDOUT)$/;
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|ERR_TLS|ERR_SSL/;
const NOT_HTTP = /^(HTTPParserError|UND_ERR_HEADERS_OVERFLOW)$/;

/** The error of a connection that failed; `where` names the server, and `server` one that is no provider's. */
export function networkError(
  error: Error,
  stage: Stage,
  where: Where,
  server: Pick<Server, "name" | "start"> = SERVERS[where.provider],
): LLMError {
  if (LLMError.is(error)) return error;
  const { provider, url, model, requestId } = where;
  const details = { provider, url, model, requestId, cause: error };
  const { name, start } = server;
  const connection = (code: string, message: string, hint?: string) =>
    new ConnectionError(message, { ...details, code, hint });
  const code = codeOf(error);

  if (LOST.test(code) || /Invalid EOF/i.test(error.message)) {
    return stage === "reading"
      ? connection("connection_reset", `${name} at ${url} broke off its answer.`)
      : connection(
          "connection_reset",
          `${name} at ${url} closed the connection unanswered.`,
          start,
        );
  }
  if (code === "ECONNREFUSED") {
    return connection("connection_refused", `${name} at ${url} refused the connection.`, start);
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    const hint = "Check the host name in baseUrl.";
    return connection("dns", `The host of ${name} at ${url} was not found.`, hint);
  }
  if (TOO_SLOW.test(code)) {
    return connection("connect_timeout", `${name} at ${url} did not accept the connection.`, start);
  }
  if (NOT_TLS.test(code)) {
    const hint = "If it speaks plain HTTP, write its address with http://.";
    return connection("tls", `${name} at ${url} does not speak TLS.`, hint);
  }
  if (CERTIFICATE.test(code)) {
    const message = `The TLS certificate of ${name} at ${url} is not accepted: ${error.message}.`;
    return connection(
      "tls",
      message,
      "Name its issuer in NODE_EXTRA_CA_CERTS, or set verifySsl to false.",
    );
  }
  if (NOT_HTTP.test(code)) {
    return new ProtocolError(`What answers at ${url} does not speak HTTP.`, details);
  }
  if (code === "UND_ERR_INVALID_ARG") {
    return new ValidationError(`The request to ${name} cannot be sent: ${error.message}.`, details);
  }
  if (code === "UND_ERR_ABORTED" || code === "UND_ERR_PRX_TLS") {
    const hint = "Put the host into no_proxy to reach it without the proxy.";
    return connection("connection_failed", `The proxy did not connect to ${url}.`, hint);
  }
  const reason = error.message || code || error.name;
  return connection("connection_failed", `The connection to ${name} at ${url} failed: ${reason}.`);
}

/** Where several addresses were tried, the refusal of one says more than the others' routes. */
function codeOf(error: Error): string {
  const errors = "errors" in error && Array.isArray(error.errors) ? error.errors : [];
  const codes = [...errors, error].map((each) => String((each as { code?: unknown }).code ?? ""));
  // What undici's parser refuses has a name only.
  return codes.find((code) => code === "ECONNREFUSED") ?? (codes.at(-1) || error.name);
}
