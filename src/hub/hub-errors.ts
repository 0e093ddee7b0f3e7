import {
  AuthenticationError,
  ConnectionError,
  GenerationError,
  type LLMError,
  ModelNotFoundError,
  ProtocolError,
  RateLimitError,
} from "../errors.js";
import { networkError } from "../http/network-errors.js";
import type { AnswerHead, Stage } from "../http/exchange.js";
import { serverText, shown } from "../http/server-text.js";
import { isLoopback } from "../http/connections.js";
import type { RepositoryName } from "./repository-name.js";

/** What was asked of the Hub, for the texts of errors. */
export interface HubQuestion extends RepositoryName {
  /** Where the Hub is. */
  endpoint: string;
  /** Path of the file in the repository. */
  file?: string;
  /** What must not be repeated in a message. */
  token?: string;
}

/** An answer that is not what was asked for. */
export interface HubRefusal extends AnswerHead {
  /** Beginning of the body. */
  text: string;
  /** False where the Hub had sent the request on to another server. */
  isOfHub: boolean;
}

const HUB = {
  name: "Hugging Face",
  start: "Is this machine online? HF_ENDPOINT names another hub.",
};

const HINTS: Record<string, string> = {
  dns: HUB.start,
  tls: "Name the issuer of its certificate, or of your proxy's, in NODE_EXTRA_CA_CERTS.",
};

/** The error that an answer of the Hub means. */
export function errorOfRefusal(refusal: HubRefusal, question: HubQuestion): LLMError {
  const { status, headers, isOfHub } = refusal;
  const { repository, endpoint, token } = question;
  const said = shown(headers["x-error-message"] ?? serverText(refusal.text, token).line, token);
  const failure: Failure = {
    ...question,
    said: said === "" ? "" : `: ${said.replace(/\.$/, "")}`,
    page: `${endpoint}/${repository}`,
    retryAfter: Number(headers["retry-after"]) || undefined,
    details: { provider: "mlx", model: repository, url: endpoint, status },
  };
  if (status === 429) return tooMany(failure);
  if (status >= 500) return failed(failure);
  if (!isOfHub) return refusedByStorage(failure);
  const reason = REASONS[headers["x-error-code"] ?? ""];
  if (reason && !/credentials/i.test(said)) return reason(failure);
  if (status === 404) return notFound(failure);
  if (status === 401 || status === 403) return unauthorised(failure);
  return notHub(`status ${status}${failure.said}`, question);
}

/** The error of an answer that no hub gives. */
export function notHub(what: string, { endpoint, repository }: HubQuestion): ProtocolError {
  return new ProtocolError(`${endpoint} does not answer as the Hub does: ${what}.`, {
    provider: "mlx",
    model: repository,
    url: endpoint,
    hint: "Look at HF_ENDPOINT; a network that wants a sign-in may answer in its place.",
  });
}

/** The error of a connection to the Hub that failed. */
export function hubNetworkError(
  error: Error,
  stage: Stage,
  url: URL,
  { repository }: HubQuestion,
): LLMError {
  const where = { provider: "mlx" as const, url: url.origin, model: repository };
  const typed = networkError(error, stage, where, HUB);
  const proxy = stage === "connecting" ? proxyFor(url) : undefined;
  if (proxy === undefined) return typed.with({ hint: HINTS[typed.code] ?? typed.hint });
  return new ConnectionError(`${url.origin} cannot be reached through the proxy of ${proxy}.`, {
    ...typed,
    cause: error,
    hint: `Correct or unset ${proxy}, or put ${url.hostname} into NO_PROXY.`,
  });
}

/** The variable that names the proxy for an address. */
function proxyFor(url: URL): string | undefined {
  const { no_proxy, NO_PROXY } = process.env;
  const exceptions = (no_proxy || NO_PROXY || "").split(/[\s,]+/).filter((name) => name !== "");
  const isExcepted = exceptions.some((name) => url.hostname.endsWith(name.replace(/^\*?\./, "")));
  if (isLoopback(url) || isExcepted || exceptions.includes("*")) return undefined;
  const names = url.protocol === "https:" ? ["https_proxy", "HTTPS_PROXY"] : [];
  return [...names, "http_proxy", "HTTP_PROXY"].find((name) => process.env[name]);
}

interface Failure extends HubQuestion {
  /** The Hub's words, after a colon; empty if it has none. */
  said: string;
  /** Where the model is shown. */
  page: string;
  retryAfter: number | undefined;
  details: { provider: string; model: string; url: string; status: number };
}

/** By the Hub's own code; without a token it also says 401 of what is not there. */
const REASONS: Record<string, (failure: Failure) => LLMError> = {
  RepoNotFound: notFound,
  GatedRepo: ({ repository, said, page, token, details }) => {
    const hint = token
      ? `Accept its terms at ${page} with the account of your token.`
      : `Accept its terms at ${page}, then set HF_TOKEN to a token of that account.`;
    const message = `${repository} is gated${said}.`;
    return new AuthenticationError(message, { ...details, code: "gated", hint });
  },
  RevisionNotFound: ({ repository, revision, page, details }) => {
    const hint = `${page}/tree/main lists its branches and tags.`;
    const message = `${repository} has no revision "${revision}".`;
    return new ModelNotFoundError(message, { ...details, hint });
  },
  EntryNotFound: ({ repository, revision, file, page, details }) => {
    const hint = `${page}/tree/main lists its files.`;
    const message = `${repository} has no file "${file}" at revision "${revision}".`;
    return new ModelNotFoundError(message, { ...details, hint });
  },
};

function notFound({ repository, endpoint, token, details }: Failure): LLMError {
  const hint = token
    ? "Look at its spelling; a private model needs a token that may read it."
    : "Look at its spelling; for a private model set HF_TOKEN to a token that may read it.";
  return new ModelNotFoundError(`${endpoint} has no model "${repository}".`, { ...details, hint });
}

function unauthorised({ token, said, details }: Failure): LLMError {
  const hint = token
    ? "Make a new token at https://huggingface.co/settings/tokens, or unset the one that was sent."
    : "Set HF_TOKEN to a token of https://huggingface.co/settings/tokens.";
  return new AuthenticationError(`The Hub refused access${said}.`, { ...details, hint });
}

function tooMany({ token, said, retryAfter, details }: Failure): LLMError {
  const hint = token ? undefined : "With a token in HF_TOKEN it allows more requests.";
  const message = `The Hub wants fewer requests${said}.`;
  return new RateLimitError(message, { ...details, retryAfter, hint });
}

function failed({ said, retryAfter, details }: Failure): LLMError {
  const hint = "Try again later: what has been downloaded is kept.";
  const message = `The Hub failed (status ${details.status})${said}.`;
  const again = { retryable: true, retryAfter };
  return new GenerationError(message, { ...details, ...again, code: "server_error", hint });
}

/** Its addresses expire, and a new request gets a new one. */
function refusedByStorage({ repository, file = repository, details }: Failure): LLMError {
  const message = `The Hub's storage refused ${file} (status ${details.status}).`;
  return new GenerationError(message, { ...details, code: "pull_failed", retryable: true });
}
