import { type LLMError, ModelNotFoundError, ProtocolError } from "../errors.js";
import { countOf, type Fields, fieldsOf, textOf } from "../fields.js";
import { errorOfBody } from "../http/server-errors.js";
import { detailsOf, type Where } from "../http/where.js";
import type { PullProgress } from "../types.js";
import type { OllamaServer } from "./server.js";

/** Lets Ollama download a model; leaving the loop ends the download. */
export async function* pullModel(
  server: OllamaServer,
  model: string,
  signal: AbortSignal,
): AsyncGenerator<PullProgress> {
  const where = server.where({ model });
  const options = { signal, model, body: { model, stream: true } };
  let last: PullProgress | undefined;
  for await (const lines of await server.postForLines("/api/pull", options)) {
    for (const line of lines) {
      last = toProgress(fieldsOf(line), where);
      yield last;
    }
  }
  if (last?.status === "success") return;
  throw new ProtocolError(`The download of "${model}" ended before its end.`, {
    ...detailsOf(where),
    code: "stream_truncated",
    hint: "Pull it again: what has been downloaded is kept.",
  });
}

function toProgress(
  { error, status, digest, total, completed }: Fields,
  where: Where,
): PullProgress {
  if (error !== undefined) throw pullFailed(errorOfBody(error, where));
  return {
    status: textOf(status) ?? "",
    digest: textOf(digest),
    total: countOf(total),
    completed: countOf(completed),
  };
}

/** What cannot be pulled should not be answered with the advice to pull it. */
function pullFailed(error: LLMError): LLMError {
  if (!ModelNotFoundError.is(error)) return error;
  return error.with({ hint: "Look up its name, and its tags, at https://ollama.com/search." });
}
