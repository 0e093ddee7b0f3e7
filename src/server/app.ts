import { Hono } from "hono";
import type { Context, Next } from "hono";
import { matchedRoutes } from "hono/route";
import { AbortError, LLMError } from "../index.js";
import { anthropic } from "./anthropic/errors.js";
import { addAnthropic } from "./anthropic/routes.js";
import { type Failure, failureOf, Refusal } from "./failures.js";
import { overloaded } from "./gate.js";
import { guard } from "./guard.js";
import { ollama } from "./ollama/errors.js";
import { addOllama } from "./ollama/routes.js";
import { openAi } from "./openai/errors.js";
import { addOpenAi } from "./openai/routes.js";
import { addPage } from "./page.js";
import type { Protocol } from "./protocol.js";
import { describeRecord, type RequestRecord } from "./record.js";
import type { Env, Service } from "./service.js";

const REQUEST_ID = /^[\w.:-]{1,128}$/;

/** Everything that a server answers, without its socket. */
export function createApp(service: Service): Hono<Env> {
  const app = new Hono<Env>();
  app.use((context, next) => follow(context, next, service));
  app.use(guard(service.settings));
  app.get("/health", (context) => context.json({ status: "ok" }));
  app.get("/metrics", async ({ body }) => {
    const { mediaType } = service.metrics;
    return body(await service.metrics.text(), 200, { "content-type": mediaType });
  });
  addPage(app);
  addOpenAi(app, service);
  addAnthropic(app, service);
  addOllama(app, service);
  app.notFound(({ req }) => {
    throw new Refusal(404, "not_found", `There is no ${req.method} ${req.path} here.`);
  });
  app.onError((error, context) => tellFailure(error, context, service));
  return app;
}

/** Keeps a record of a request until its last byte was sent, or the client has left. */
async function follow(context: Context<Env>, next: Next, service: Service): Promise<void> {
  const { method } = context.req;
  const given = context.req.header("x-request-id") ?? "";
  const id = REQUEST_ID.test(given) ? given : crypto.randomUUID();
  const startedAt = performance.now();
  const record: RequestRecord = { id, method, route: "*", status: 0, startedAt };
  const work = new AbortController();
  const { outgoing } = context.env;
  outgoing.on("close", () => {
    record.left = !outgoing.writableFinished;
    if (record.left) work.abort(new AbortError("The client has left."));
    service.metrics.count(record);
    service.settings.logger?.info(describeRecord(record));
  });
  context.set("record", record);
  context.set("signal", AbortSignal.any([work.signal, service.stopping]));
  context.header("x-request-id", id);
  if (service.isClosing) {
    context.header("connection", "close");
    throw overloaded("The server is closing.");
  }
  await next();
  // Not the path itself: anyone may ask for anything.
  const route = matchedRoutes(context).at(-1)?.path ?? "*";
  record.route = route === "/*" ? "*" : route;
  record.status = context.res.status;
}

function tellFailure(error: unknown, context: Context<Env>, { settings }: Service): Response {
  const { record } = context.var;
  const failure = failureOf(error);
  record.failure = failure;
  if (failure.status >= 500) settings.logger?.error(`${record.id} ${describeError(error)}`);
  const protocol = protocolOf(context.req.path);
  const { retryAfter, retryable } = failure;
  if (retryAfter !== undefined) context.header("retry-after", String(Math.ceil(retryAfter)));
  // The rest of such a body is not read.
  if (failure.status === 413) context.header("connection", "close");
  // The clients of OpenAI and Anthropic would send most failures again.
  context.header("x-should-retry", String(retryable));
  record.status = statusOf(protocol, failure);
  return context.json(protocol.errorBody(failure, record.id), record.status as 500);
}

function statusOf({ statusOf }: Protocol, failure: Failure): number {
  return statusOf?.(failure) ?? failure.status;
}

function protocolOf(path: string): Protocol {
  if (path.startsWith("/api/")) return ollama;
  return path.startsWith("/v1/messages") ? anthropic : openAi;
}

/** What is not an error of this package is a mistake in it. */
function describeError(error: unknown): string {
  if (LLMError.is(error) || error instanceof Refusal) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
