import { type Agent, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** What a plain client saw of one request. */
export interface Outcome {
  status?: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** How it ended: as a body should, by a code of the system, or not within the limit. */
  ending: string;
}

/** Sends one request with nothing between it and the socket; gives up after some silence. */
export function sendRaw(
  url: string,
  options: {
    body?: unknown;
    headers?: Record<string, string>;
    agent?: Agent;
    silenceMs?: number;
  } = {},
): Promise<Outcome> {
  // Without an agent each request has a connection of its own.
  const { body, headers, agent = false, silenceMs = 5000 } = options;
  const outcome: Outcome = { headers: {}, text: "", ending: "" };
  const send = url.startsWith("https") ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const finish = (ending: string) => {
      outcome.ending ||= ending;
      resolve(outcome);
    };
    const request = send(url, { method: body === undefined ? "GET" : "POST", headers, agent });
    request.setTimeout(silenceMs, () => {
      finish("silence");
      request.destroy();
    });
    request.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    request.on("response", (response) => {
      outcome.status = response.statusCode;
      outcome.headers = response.headers;
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        outcome.text += chunk;
        // Enough of a line without end.
        if (outcome.text.length < 4 << 20) return;
        finish("too long");
        request.destroy();
      });
      response.on("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
      response.on("end", () => finish("end"));
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
