import type { Hono } from "hono";
import { answer } from "../answer.js";
import { readBody } from "../body.js";
import { refuseUnsupported } from "../failures.js";
import { forModel } from "../models.js";
import { EVENT_STREAM } from "../protocol.js";
import type { Env, Service } from "../service.js";
import { MessagesReply } from "./messages-reply.js";
import { messagesRequest, questionRequest } from "./messages-request.js";
import { countSchema, messagesSchema } from "./messages-schema.js";

/** Adds Anthropic's endpoints. */
export function addAnthropic(app: Hono<Env>, service: Service): void {
  app.post("/v1/messages", async (context) => {
    const body = await readBody(context, service, messagesSchema);
    return answer(context, service, {
      request: messagesRequest(body),
      stream: body.stream === true,
      mediaType: EVENT_STREAM,
      writer: new MessagesReply(context.var.record.id),
    });
  });
  app.post("/v1/messages/count_tokens", async (context) => {
    const body = await readBody(context, service, countSchema);
    const { signal } = context.var;
    const request = forModel(service, { ...questionRequest(body), signal });
    const leave = await service.gate.enter(signal);
    const count = service.client.countTokens(request).catch(refuseUnsupported).finally(leave);
    return context.json({ input_tokens: await count });
  });
}
