import type { IncomingMessage } from "node:http";
import type { Context } from "hono";
import type * as z from "zod/mini";
import { check, describeProblem, isTooDeep, nameField } from "../validation.js";
import { Refusal } from "./failures.js";
import type { Env, Service } from "./service.js";

/** The body of a request, checked; throws a `Refusal` that names everything wrong with it. */
export async function readBody<T>(
  { env }: Context<Env>,
  { settings }: Service,
  schema: z.ZodMiniType<T>,
): Promise<T> {
  const body = parse(await readText(env.incoming, settings.maxBodyBytes));
  if (isTooDeep(body)) {
    throw new Refusal(400, "bad_json", "The body of the request is nested too deeply.");
  }
  const result = check(schema, body);
  if (!result.problems) return result.value;
  const [first] = result.problems;
  const reasons = result.problems.map((problem) =>
    problem.allowed === undefined
      ? `${nameField(problem.path)} is not supported`
      : describeProblem(problem),
  );
  const field = first!.path.length > 0 ? nameField(first!.path) : undefined;
  throw new Refusal(400, "validation", `The request is wrong: ${reasons.join("; ")}.`, { field });
}

async function readText(incoming: IncomingMessage, most: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  if (Number(incoming.headers["content-length"] ?? 0) > most) throw tooLarge(most);
  // The socket stays, for the refusal.
  for await (const chunk of incoming.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > most) throw tooLarge(most);
  }
  return Buffer.concat(chunks).toString();
}

function tooLarge(most: number): Refusal {
  return new Refusal(413, "body_too_large", `A request may have at most ${most} bytes.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, "bad_json", "The body of the request is not JSON.");
  }
}
