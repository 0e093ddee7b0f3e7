import { listFiles, modelInfo } from "@huggingface/hub";
import { LLMError } from "../errors.js";
import { isObject } from "../fields.js";
import { type HubConnection, readBody } from "./hub-connection.js";
import { type HubQuestion, notHub } from "./hub-errors.js";
import type { RepositoryName } from "./repository-name.js";
import { isCommit } from "./safe-names.js";

/** A file of a repository, as the Hub lists it. */
export interface HubFile {
  path: string;
  size: number;
  /** What its content hashes to; also its name in the cache. */
  hash: string;
  /** SHA-256 of the content, or what git calls a blob. */
  hashKind: "sha256" | "git";
}

/** What a repository holds at one commit. */
export interface Listing {
  commit: string;
  files: HubFile[];
}

const LARGEST_PAGE = 32 * 1024 * 1024;
/** What at the beginning is no passing trouble. */
const FINAL = new Set(["connection_refused", "connection_failed", "dns", "tls"]);
const MOST_PAGES = 50;

/** Asks which commit a revision is, and lists its files. */
export async function listRepository(
  connection: HubConnection,
  { repository, revision }: RepositoryName,
  signal: AbortSignal,
): Promise<Listing> {
  const { endpoint, token } = connection.address;
  const question = { repository, revision, endpoint, token };
  // The connection sends the token: the library would refuse those of other hubs.
  const api = { hubUrl: endpoint, fetch: fetchFrom(connection, question, signal) };
  try {
    const info = await modelInfo({ ...api, name: repository, revision, additionalFields: ["sha"] });
    const commit: unknown = info.sha;
    if (!isCommit(commit)) throw notHub("it names no commit", question);
    if (isCommit(revision) && commit !== revision) {
      throw notHub(`it has ${commit} in place of the commit ${revision}`, question);
    }
    const repo = { type: "model" as const, name: repository };
    const files: HubFile[] = [];
    for await (const entry of listFiles({ ...api, repo, revision: commit, recursive: true })) {
      if (isObject(entry) && entry.type === "file") files.push(checkedFile(entry, question));
    }
    return { commit, files };
  } catch (error) {
    if (LLMError.is(error))
      throw error.with({ retryable: error.retryable && !FINAL.has(error.code) });
    throw notHub((error as Error).message, question);
  }
}

/** The library's `fetch`: through our connections, with their errors, and with limits. */
function fetchFrom(
  connection: HubConnection,
  question: HubQuestion,
  signal: AbortSignal,
): typeof fetch {
  let pages = 0;
  return async (input) => {
    const url = new URL(String(input));
    if (++pages > MOST_PAGES) throw notHub("its list of files does not end", question);
    const headers = { accept: "application/json" };
    const answer = await connection.get({ url, headers, question, signal });
    const text = await readBody(answer, LARGEST_PAGE, question);
    const { link } = answer.headers;
    return new Response(text, { status: 200, headers: link === undefined ? {} : { link } });
  };
}

function checkedFile(entry: object, question: HubQuestion): HubFile {
  const { path, size, oid, lfs } = entry as Record<string, unknown>;
  const large = isObject(lfs) ? lfs : undefined;
  const hash = large ? large.oid : oid;
  const bytes = large ? large.size : size;
  if (typeof path !== "string") throw notHub("it lists a file without a name", question);
  const isHash =
    typeof hash === "string" && (large ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(hash);
  if (!isHash || !Number.isSafeInteger(bytes) || Number(bytes) < 0) {
    throw notHub(`it lists ${JSON.stringify(path)} without a hash or a size`, question);
  }
  return { path, size: Number(bytes), hash, hashKind: large ? "sha256" : "git" };
}
