import type { Context, Hono } from "hono";
import type { LLMResponse } from "../../index.js";
import { answer } from "../answer.js";
import { readBody } from "../body.js";
import { notSupported } from "../failures.js";
import { modelFor } from "../models.js";
import { JSON_LINES } from "../protocol.js";
import type { Env, Service } from "../service.js";
import { readVersion } from "../package-files.js";
import { embed, embedOne } from "./embeddings.js";
import { listRunning, listTags, showModel } from "./models.js";
import { asMessage, asResponse, OllamaReply, type Piece, withoutReply } from "./reply.js";
import { chatRequest, generateRequest, runnerOf } from "./request.js";
import {
  type ChatBody,
  chatSchema,
  embedSchema,
  type GenerateBody,
  generateSchema,
  oldEmbedSchema,
  showSchema,
} from "./schema.js";

/** What Ollama does with models, and this server leaves to the command line. */
const ELSEWHERE = ["pull", "push", "create", "copy", "delete", "blobs/:digest"];

/** Adds Ollama's endpoints. */
export function addOllama(app: Hono<Env>, service: Service): void {
  app.get("/api/version", (context) => context.json({ version: readVersion() }));
  app.get("/api/tags", async (context) => context.json(await listTags(service)));
  app.get("/api/ps", async (context) => context.json(await listRunning(service)));
  app.post("/api/show", async (context) => {
    const { model, name } = await readBody(context, service, showSchema);
    return context.json(await showModel(service, model ?? name ?? undefined));
  });
  app.post("/api/chat", async (context) => {
    const body = await readBody(context, service, chatSchema);
    if (!body.messages?.length) return changeModel(context, service, body, asMessage);
    return reply(context, service, body, chatRequest(body), asMessage);
  });
  app.post("/api/generate", async (context) => {
    const body = await readBody(context, service, generateSchema);
    if (!body.prompt) return changeModel(context, service, body, asResponse);
    return reply(context, service, body, generateRequest(body), asResponse);
  });
  app.post("/api/embed", async (context) => {
    const body = await readBody(context, service, embedSchema);
    return context.json(await embed(service, body, context.var.signal));
  });
  app.post("/api/embeddings", async (context) => {
    const body = await readBody(context, service, oldEmbedSchema);
    return context.json(await embedOne(service, body, context.var.signal));
  });
  for (const name of ELSEWHERE) {
    app.all(`/api/${name}`, ({ req }) => {
      throw notSupported(`${req.method} ${req.path}`);
    });
  }
}

function reply(
  context: Context<Env>,
  service: Service,
  body: ChatBody | GenerateBody,
  request: ReturnType<typeof chatRequest>,
  pieceOf: (piece: Piece) => object,
): Promise<Response> {
  return answer(context, service, {
    request,
    stream: body.stream !== false,
    mediaType: JSON_LINES,
    writer: new OllamaReply(body.model ?? "", pieceOf),
    notes: (response) => notesOf(body, response),
  });
}

/** What only one kind of provider can do. */
function notesOf(body: ChatBody | GenerateBody, { provider }: LLMResponse): string[] {
  const options = body.options ?? {};
  const ofOllama = provider === "ollama" ? [] : Object.keys(runnerOf(options));
  const raw = "raw" in body && body.raw === true ? ["raw"] : [];
  const window = typeof options.repeat_last_n === "number" ? ["repeat_last_n"] : [];
  const ofMlx = provider === "mlx" ? [] : [...raw, ...window];
  return [...ofOllama, ...ofMlx].map(
    (name) => `${name} was left out: it means nothing to ${provider}`,
  );
}

/** Without anything to answer, a request loads a model, or unloads it. */
async function changeModel(
  context: Context<Env>,
  service: Service,
  { model: name, keep_alive }: ChatBody | GenerateBody,
  pieceOf: (piece: Piece) => object,
): Promise<Response> {
  const model = modelFor(service, name ?? undefined);
  const { signal } = context.var;
  const unloads =
    keep_alive === 0 || (typeof keep_alive === "string" && /^0+[a-z]*$/.test(keep_alive));
  if (unloads) await service.client.unloadModel(model, { signal });
  else await service.client.loadModel(model, { signal });
  return context.json(withoutReply(model ?? "", pieceOf({}), unloads ? "unload" : "load"));
}
