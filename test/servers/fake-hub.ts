import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type HubFault, HubFaults, sendBody } from "./hub-faults.js";

/** A repository of the fake; what is large lies on the second server, as on the real Hub. */
export interface FakeRepository {
  files: Record<string, Buffer | string>;
  /** Branches and tags with their commits; without any, `main` is a commit made from the files. */
  revisions?: Record<string, string>;
  /** Who may read it. */
  access?: "gated" | "private";
  /** Entries of the listing as they are sent, instead of those of `files`. */
  entries?: unknown[];
}

/** A request as one of the two servers got it. */
export interface HubRequest {
  server: "hub" | "storage";
  path: string;
  headers: IncomingMessage["headers"];
  /** Bytes of the body that were sent. */
  sent: number;
}

/** Content of so many bytes or more is kept on the second server. */
const LARGE = 4096;
const PAGE = 3;
/** The token that the fake accepts unless told. */
export const TOKEN = "hf_fakeTokenForTests";

/** Speaks the Hub's protocol on two loopback ports, and fails on demand or by chance. */
export class FakeHub {
  readonly requests: HubRequest[] = [];
  readonly repositories: Record<string, FakeRepository> = {};
  readonly faults = new HubFaults();
  /** Bytes per second of each body; as fast as it goes unless told. */
  pace: number | undefined;
  /** Where each page of a listing sends on to, instead of to the next. */
  nextPage: string | undefined;
  /** The token that it accepts. */
  token = TOKEN;
  /** The commit of everything, whatever was asked for. */
  pinned: string | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #hub: Server;
  readonly #storage: Server;

  constructor() {
    this.#hub = this.#server("hub", (...exchange) => this.#answer(...exchange));
    this.#storage = this.#server("storage", (...exchange) => this.#answerFromStorage(...exchange));
  }

  /** Listens on free ports. */
  async start(): Promise<this> {
    for (const server of [this.#hub, this.#storage]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
    return this;
  }

  get url(): string {
    return addressOf(this.#hub);
  }

  get storageUrl(): string {
    return addressOf(this.#storage);
  }

  /** The commit of a revision. */
  commitOf(name: string, revision = "main"): string {
    const { revisions, files } = this.repositories[name]!;
    if (/^[0-9a-f]{40}$/.test(revision)) return revision;
    if (revisions) return revisions[revision]!;
    return sha1(
      JSON.stringify(Object.entries(files).map(([path, content]) => [path, gitHash(content)])),
    );
  }

  /** How many bytes of a file were sent, in all requests. */
  sent(path: string): number {
    const hash = Object.values(this.repositories).flatMap(({ files }) =>
      files[path] === undefined ? [] : [sha256(files[path])],
    );
    return this.requests
      .filter(
        (request) =>
          request.path.endsWith(`/${path}`) || hash.some((each) => request.path.includes(each)),
      )
      .reduce((sum, request) => sum + request.sent, 0);
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #server(
    server: HubRequest["server"],
    answer: (request: HubRequest, response: ServerResponse) => Promise<void>,
  ): Server {
    const result = createServer((message, response) => {
      const request = { server, path: message.url ?? "", headers: message.headers, sent: 0 };
      this.requests.push(request);
      // The client may leave at any moment.
      void answer(request, response).catch(() => response.destroy());
    });
    result.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
    return result;
  }

  async #answer(request: HubRequest, response: ServerResponse): Promise<void> {
    const fault = this.faults.take(request.path);
    if (fault === "busy") return refuse(response, 503, undefined, "Service Unavailable");
    if (fault === "html") return void response.setHeader("content-type", "text/html").end("<html>");
    if (fault === "loop") return redirect(response, `${this.url}${request.path}`);
    const { pathname, searchParams } = new URL(request.path, this.url);
    const api = /^\/api\/models\/(.+?)\/(revision|tree)\/([^/]+)$/.exec(pathname);
    const file = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const name = api?.[1] ?? file?.[1] ?? "";
    const revision = api?.[3] ?? file?.[2] ?? "";
    const isKnown = this.#refuseUnlessKnown(name, decodeURIComponent(revision), request, response);
    if (!isKnown) return;
    if (api?.[2] === "revision")
      return this.#sendInfo(name, decodeURIComponent(revision), response);
    if (api)
      return this.#sendTree(name, pathname, Number(searchParams.get("cursor") ?? 0), response);
    await this.#sendFile(name, decodeURIComponent(file![3]!), fault, request, response);
  }

  #refuseUnlessKnown(
    name: string,
    revision: string,
    { headers, path }: HubRequest,
    response: ServerResponse,
  ): boolean {
    const repository = this.repositories[name];
    const { authorization } = headers;
    const hasToken = authorization === `Bearer ${this.token}`;
    if (authorization !== undefined && !hasToken) {
      refuse(response, 401, undefined, "Invalid credentials in Authorization header");
    } else if (!repository || (repository.access === "private" && !hasToken)) {
      refuse(response, hasToken ? 404 : 401, "RepoNotFound", "Repository not found");
    } else if (repository.access === "gated" && /\/resolve\//.test(path)) {
      const message = `Access to model ${name} is restricted.`;
      refuse(response, hasToken ? 403 : 401, "GatedRepo", message);
    } else if (
      repository.revisions?.[revision] === undefined &&
      revision !== "main" &&
      !/^[0-9a-f]{40}$/.test(revision)
    ) {
      refuse(response, 404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    } else return true;
    return false;
  }

  #sendInfo(name: string, revision: string, response: ServerResponse): void {
    const sha = this.pinned ?? this.commitOf(name, revision);
    const body = { _id: "1", id: name, sha, private: false };
    sendJson(response, body);
  }

  #sendTree(name: string, path: string, start: number, response: ServerResponse): void {
    const { files, entries = Object.entries(files).map(entryOf) } = this.repositories[name]!;
    const isLast = start + PAGE >= entries.length;
    const next =
      this.nextPage ?? (isLast ? undefined : `${this.url}${path}?cursor=${start + PAGE}`);
    if (next !== undefined) response.setHeader("link", `<${next}>; rel="next"`);
    sendJson(response, entries.slice(start, start + PAGE));
  }

  async #sendFile(
    name: string,
    path: string,
    fault: HubFault | undefined,
    request: HubRequest,
    response: ServerResponse,
  ): Promise<void> {
    const content = this.repositories[name]!.files[path];
    if (content === undefined) return refuse(response, 404, "EntryNotFound", "Entry not found");
    const bytes = Buffer.from(content);
    response.setHeader("x-repo-commit", /resolve\/([^/]+)/.exec(request.path)![1]!);
    if (bytes.length < LARGE) {
      response.setHeader("etag", `"${gitHash(bytes)}"`);
      return sendBody(response, bytes, request, { fault, faults: this.faults, pace: this.pace });
    }
    response.setHeader("x-linked-etag", `"${sha256(bytes)}"`);
    response.setHeader("x-linked-size", bytes.length);
    redirect(response, `${this.storageUrl}/${sha256(bytes)}?signature=${randomUUID()}`);
  }

  async #answerFromStorage(request: HubRequest, response: ServerResponse): Promise<void> {
    const hash = request.path.slice(1, 65);
    const contents = Object.values(this.repositories).flatMap(({ files }) => Object.values(files));
    const content = contents.find((each) => sha256(each) === hash);
    // As S3 does when two ways to authorize are used at once.
    if (request.headers.authorization !== undefined || content === undefined) {
      return refuse(response, 400, undefined, "<Error>InvalidArgument</Error>");
    }
    const fault = this.faults.take(request.path);
    if (fault === "busy") return refuse(response, 503, undefined, "Slow Down");
    response.setHeader("etag", `"${hash.slice(0, 32)}-1"`);
    await sendBody(response, Buffer.from(content), request, {
      fault,
      faults: this.faults,
      pace: this.pace,
    });
  }
}

/** Starts a fake Hub with some repositories. */
export async function startFakeHub(repositories: Record<string, FakeRepository>): Promise<FakeHub> {
  const hub = new FakeHub();
  Object.assign(hub.repositories, repositories);
  return hub.start();
}

/** An entry of the listing, as the Hub writes it. */
export function entryOf([path, content]: [string, Buffer | string]): Record<string, unknown> {
  const bytes = Buffer.from(content);
  const entry = { type: "file", oid: gitHash(bytes), size: bytes.length, path };
  if (bytes.length < LARGE) return entry;
  return {
    ...entry,
    oid: sha1(path),
    lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 },
  };
}

/** What git calls a content. */
export function gitHash(content: Buffer | string): string {
  const bytes = Buffer.from(content);
  return sha1(Buffer.concat([Buffer.from(`blob ${bytes.length}\0`), bytes]));
}

export function sha256(content: Buffer | string): string {
  return createHash("sha256").update(content).digest("hex");
}

function sha1(content: Buffer | string): string {
  return createHash("sha1").update(content).digest("hex");
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.setHeader("content-type", "application/json").end(JSON.stringify(body));
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(302, { location }).end();
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string | undefined,
  message: string,
): void {
  if (code !== undefined) response.setHeader("x-error-code", code);
  response.setHeader("x-error-message", message).writeHead(status).end(message);
}
