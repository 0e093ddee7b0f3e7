import { setTimeout as sleep } from "node:timers/promises";
import { abortedBy } from "../abort.js";
import {
  GenerationError,
  LLMError,
  ModelNotFoundError,
  ProtocolError,
  ValidationError,
} from "../errors.js";
import { countOf, type Fields, fieldsOf, textOf } from "../fields.js";
import type { HttpClient } from "../http/http-client.js";
import { shown } from "../http/server-text.js";
import { detailsOf } from "../http/where.js";
import type { PullProgress } from "../types.js";

/** Milliseconds between two questions for the progress of a download. */
const POLL_MS = 500;

/** Brings a model into memory. */
export async function loadInstance(
  http: HttpClient,
  model: string,
  signal: AbortSignal,
): Promise<void> {
  await manage(http, "load", { signal, model, body: { model } });
}

/** Frees the memory of one instance of a model. */
export async function unloadInstance(
  http: HttpClient,
  instance: string,
  signal: AbortSignal,
): Promise<void> {
  await manage(http, "unload", { signal, model: instance, body: { instance_id: instance } });
}

/** Downloads a model, and tells how far it has come until it is there. */
export async function* download(
  http: HttpClient,
  model: string,
  signal: AbortSignal,
): AsyncGenerator<PullProgress> {
  let report = await manage(http, "download", { signal, model, body: { model } });
  const total = countOf(report.total_size_bytes);
  const job = textOf(report.job_id);
  for (;;) {
    const status = textOf(report.status) ?? "unknown";
    const isThere = status === "completed" || status === "already_downloaded";
    const completed = isThere ? total : countOf(report.downloaded_bytes);
    yield { status, total: countOf(report.total_size_bytes) ?? total, completed };
    if (isThere) return;
    if (status === "failed" || job === undefined) throw failed(http, model, report);
    await sleep(POLL_MS, undefined, { signal }).catch(() => {
      throw abortedBy(signal);
    });
    const path = `/api/v1/models/download/status/${encodeURIComponent(job)}`;
    report = fieldsOf((await http.requestJson("GET", path, { signal, model })).body);
  }
}

/** True if the error means that a server has no such endpoint. */
export function isMissing(error: unknown): boolean {
  if (!LLMError.is(error)) return false;
  return [404, 405, 501].includes(error.status ?? 0) || ProtocolError.is(error);
}

interface Options {
  signal: AbortSignal;
  model: string;
  body: Fields;
}

async function manage(http: HttpClient, action: string, options: Options): Promise<Fields> {
  const path = `/api/v1/models/${action}`;
  try {
    return fieldsOf((await http.requestJson("POST", path, options)).body);
  } catch (error) {
    if (ModelNotFoundError.is(error) || !isMissing(error)) throw error;
    throw new ValidationError(
      `The server at ${http.url} cannot ${action} models: it has no ${path}.`,
      {
        ...detailsOf(http.where(options)),
        code: "unsupported",
        hint: "LM Studio can from version 0.4 on.",
        cause: error,
      },
    );
  }
}

function failed(http: HttpClient, model: string, { error, status }: Fields): GenerationError {
  const reason = textOf(error) ?? textOf(fieldsOf(error).message) ?? `its status is "${status}"`;
  const where = http.where({ model });
  const told = shown(reason, where.secret);
  return new GenerationError(`LM Studio could not download "${model}": ${told}.`, {
    ...detailsOf(where),
    code: "pull_failed",
  });
}
