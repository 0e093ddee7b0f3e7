import type { Hono } from "hono";
import { answer } from "../answer.js";
import { readBody } from "../body.js";
import { notSupported } from "../failures.js";
import { EVENT_STREAM } from "../protocol.js";
import type { Env, Service } from "../service.js";
import { MessagesReply } from "./messages-reply.js";
import { messagesRequest } from "./messages-request.js";
import { messagesSchema } from "./messages-schema.js";

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
  app.post("/v1/messages/count_tokens", () => {
    throw notSupported("Counting the tokens of a prompt");
  });
}
