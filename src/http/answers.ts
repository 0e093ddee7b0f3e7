import { ConnectionError, type LLMError, ProtocolError } from "../errors.js";
import type { AnswerHead, Exchange } from "./exchange.js";
import { errorOfAnswer } from "./server-errors.js";
import { parsedJson, saysError } from "./server-text.js";
import { SERVERS } from "./servers.js";
import { detailsOf, type Where } from "./where.js";

/** An answer whose body is still coming. */
export interface OpenAnswer extends AnswerHead {
  chunks: Exchange;
}

const MEBIBYTE = 1024 * 1024;
const LARGEST_JSON = 64 * MEBIBYTE;
const LARGEST_ERROR = MEBIBYTE / 16;
/** How long the text of an error is waited for, in milliseconds; its status tells enough. */
const ERROR_PATIENCE = 2000;

/** The body as parsed JSON; undefined if it is empty and may be. */
export async function readJson(
  answer: OpenAnswer,
  where: Where,
  mayBeEmpty: boolean,
): Promise<unknown> {
  const read: Uint8Array[] = [];
  if (await readInto(read, answer.chunks, LARGEST_JSON)) {
    const what = `sent more than ${LARGEST_JSON / MEBIBYTE} MiB at once`;
    throw new ProtocolError(`${SERVERS[where.provider].name} ${what}.`, detailsOf(where));
  }
  const text = textOf(read, LARGEST_JSON);
  if (text === "" && mayBeEmpty) return undefined;
  const body = parsedJson(text);
  if (body === undefined || saysError(body)) throw errorOfAnswer({ ...answer, text }, where);
  return body;
}

/** The error that an answer means whose status or type says that it is one. */
export async function errorIn(answer: OpenAnswer, where: Where): Promise<LLMError> {
  const read: Uint8Array[] = [];
  const enough = new ConnectionError("The text of an error does not end.");
  const timer = setTimeout(() => answer.chunks.fail(enough), ERROR_PATIENCE);
  try {
    await readInto(read, answer.chunks, LARGEST_ERROR);
  } catch (error) {
    // The status already tells that it failed; only an abort tells more.
    if (!ConnectionError.is(error)) throw error;
  } finally {
    clearTimeout(timer);
  }
  const text = encodingOf(answer) ? "" : textOf(read, LARGEST_ERROR);
  return errorOfAnswer({ ...answer, text }, where);
}

/** Throws if the body is an error although the status is good, as LM Studio sends it. */
export async function checkNoError(answer: OpenAnswer, where: Where): Promise<void> {
  const { chunks } = answer;
  const read: Uint8Array[] = [];
  for (let isAll = false; !isAll; ) {
    const { done, value } = await chunks.next();
    if (!done) read.push(...value);
    const text = Buffer.concat(read).toString();
    const body = parsedJson(text.split("\n", 1)[0]!) ?? parsedJson(text);
    if (saysError(body)) {
      await chunks.return();
      throw errorOfAnswer({ ...answer, text }, where);
    }
    isAll = done === true || body !== undefined || text.length > LARGEST_ERROR;
  }
  chunks.putBack(read);
}

/** Throws if the body is compressed, which nobody asked for. */
export function checkEncoding(answer: OpenAnswer, where: Where): void {
  const encoding = encodingOf(answer);
  if (!encoding) return;
  const { name } = SERVERS[where.provider];
  const error = new ProtocolError(
    `${name} sent a compressed answer (${encoding}).`,
    detailsOf(where),
  );
  answer.chunks.fail(error);
  throw error;
}

function encodingOf({ headers }: AnswerHead): string | undefined {
  const encoding = headers["content-encoding"];
  return encoding === "identity" ? undefined : encoding;
}

/** Reads all, or a little more than so many bytes; tells whether there was more. */
async function readInto(
  read: Uint8Array[],
  chunks: AsyncIterable<Uint8Array[]>,
  most: number,
): Promise<boolean> {
  let length = 0;
  for await (const batch of chunks) {
    read.push(...batch);
    for (const chunk of batch) length += chunk.length;
    if (length > most) return true;
  }
  return false;
}

function textOf(read: Uint8Array[], most: number): string {
  return Buffer.concat(read)
    .subarray(0, most)
    .toString()
    .replace(/^\uFEFF/, "");
}
