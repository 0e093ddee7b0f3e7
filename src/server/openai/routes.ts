import type { Hono } from "hono";
import { answer } from "../answer.js";
import { readBody } from "../body.js";
import { EVENT_STREAM } from "../protocol.js";
import type { Env, Service } from "../service.js";
import { ChatReply } from "./chat-reply.js";
import { chatRequest } from "./chat-request.js";
import { chatSchema } from "./chat-schema.js";
import { CompletionsReply, completionsRequest, templateNote } from "./completions.js";
import { completionsSchema } from "./completions-schema.js";
import { embed, embeddingsSchema } from "./embeddings.js";
import { responsesRequest } from "./responses-request.js";
import { ResponsesReply } from "./responses-reply.js";
import { responsesSchema } from "./responses-schema.js";
import { listModels, retrieveModel } from "./models.js";

/** Adds OpenAI's endpoints. */
export function addOpenAi(app: Hono<Env>, service: Service): void {
  app.get("/v1/models", async (context) => context.json(await listModels(service)));
  app.get("/v1/models/:id{.+}", async (context) =>
    context.json(await retrieveModel(service, context.req.param("id"))),
  );
  app.post("/v1/chat/completions", async (context) => {
    const body = await readBody(context, service, chatSchema);
    return answer(context, service, {
      request: chatRequest(body),
      stream: body.stream === true,
      mediaType: EVENT_STREAM,
      writer: new ChatReply(body.stream_options?.include_usage === true),
    });
  });
  app.post("/v1/completions", async (context) => {
    const body = await readBody(context, service, completionsSchema);
    return answer(context, service, {
      request: completionsRequest(body),
      stream: body.stream === true,
      mediaType: EVENT_STREAM,
      writer: new CompletionsReply(body.stream_options?.include_usage === true),
      notes: templateNote,
    });
  });
  app.post("/v1/responses", async (context) => {
    const body = await readBody(context, service, responsesSchema);
    return answer(context, service, {
      request: responsesRequest(body),
      stream: body.stream === true,
      mediaType: EVENT_STREAM,
      writer: new ResponsesReply(body),
    });
  });
  app.post("/v1/embeddings", async (context) => {
    const body = await readBody(context, service, embeddingsSchema);
    return context.json(await embed(service, body, context.var.signal));
  });
}
