import type { LLMResponse } from "../index.js";
import type { Failure } from "./failures.js";

/** What is told of a request once it is over; its texts are not in it. */
export interface RequestRecord {
  id: string;
  method: string;
  /** The endpoint, not the whole path. */
  route: string;
  status: number;
  startedAt: number;
  response?: LLMResponse;
  failure?: Failure;
  left?: boolean;
}

/** One line for a log. */
export function describeRecord(record: RequestRecord): string {
  const { method, route, status, startedAt, response, failure, left, id } = record;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(3);
  const parts = [method, route, status, `${seconds} s`];
  if (response) {
    const { provider, model, usage } = response;
    parts.push(`${provider}:${model}`);
    if (usage.completionTokens !== undefined) parts.push(`${usage.completionTokens} tokens`);
  }
  if (failure) parts.push(failure.code);
  if (left) parts.push("client left");
  return [...parts, id].join(" ");
}
