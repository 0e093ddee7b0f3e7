import { setTimeout as sleep } from "node:timers/promises";
import type { LLMConfig, LLMError, LLMRequest, Tool } from "../../src/index.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";
import type { FaultName, Stage } from "../servers/faults.js";
import {
  call,
  type Manner,
  type Result,
  tellingClient,
  type Told,
  ending,
} from "../helpers/client-calls.js";
import { type Cell, HELLO } from "./cells.js";
import { type Fake, KINDS, type KindName } from "../servers/kinds.js";

/** A call that is to meet a fault. */
export interface Meeting {
  fault: FaultName;
  stage: Stage | "whole";
  kind: KindName;
  manner: Manner;
  /** The provider that may take over. */
  second?: FakeOllama;
}

/** What is compared of a call. */
export interface Seen {
  says?: string;
  error?: string;
  status?: number;
  cause?: string;
  delivered: string;
  partial?: string;
  /** How often the first server was asked. */
  requests: number;
  retries: number;
  fallbacks: number;
}

const PATIENT = { timeout: 20, firstTokenTimeout: 20, maxRetries: 2, retryDelay: 0.001 };
const SHORT = 0.25;
/** Seconds; less than what a close takes that waits for somebody. */
export const PROMPT = 10;
const SECOND = "Hello from the second.";
const ADD: Tool = { type: "function", function: { name: "add" } };

/** A server that takes over whatever the first one could not do. */
export async function startSecond(): Promise<FakeOllama> {
  const models = [{ name: "second", contextLength: 100_000 }];
  const second = await startFakeOllama({ models, contextLength: 100_000 });
  second.replies.set({ text: [SECOND] });
  return second;
}

/** What must be seen. */
export function expected(cell: Cell, { manner, second }: Meeting): Seen {
  const { ends, text, retries, isHeard, canBeReplaced } = cell;
  const requests = isHeard ? 1 : 0;
  const isLocked = manner === "stream" && text !== "";
  if (second && canBeReplaced && !isLocked) {
    const delivered = manner === "stream" ? SECOND : "";
    return { says: SECOND, delivered, requests, retries: 0, fallbacks: 1 };
  }
  const counts = { requests: requests && requests + retries, retries, fallbacks: 0 };
  if ("says" in ends) {
    return { says: ends.says, delivered: manner === "stream" ? ends.says : "", ...counts };
  }
  const delivered = manner === "stream" ? text : "";
  return { ...ends, delivered, partial: text || undefined, ...counts };
}

/** Lets a client meet a fault, then asks it something good and closes it. */
export async function seen(cell: Cell, meeting: Meeting): Promise<Seen> {
  const fake = await KINDS[meeting.kind].start();
  const { client, told } = tellingClient(configOf(cell, meeting, fake));
  try {
    if (cell.script) fake.replies.once(cell.script);
    const at = meeting.stage === "whole" ? undefined : meeting.stage;
    fake.fault(meeting.fault, { at, ...cell.settings });
    const result = await ending("the call", call(client, meeting.manner, requestOf(cell, meeting)));
    const requests = chatsOf(fake);
    checkRecords(result, told);
    checkCell(cell, meeting, result, told);
    await fake.clearFaults();
    await checkUse(client, meeting);
    return { ...outcomeOf(result), requests, ...countsOf(told) };
  } finally {
    await ending("closing", client.close(), PROMPT);
    await ending("the end of the connections", unconnected(fake), PROMPT);
    await fake.close();
  }
}

/** Waits until a server has no connection left. */
export async function unconnected(fake: Fake): Promise<void> {
  while (fake.open > 0) await sleep(2);
}

function configOf({ shortLimit }: Cell, { kind, second }: Meeting, fake: Fake): LLMConfig {
  const leg = { ...PATIENT, ...KINDS[kind].leg(fake) };
  if (shortLimit) leg[shortLimit] = SHORT;
  if (!second) return leg;
  const next = { ...PATIENT, provider: "ollama" as const, baseUrl: second.url, model: "second" };
  return { ...leg, fallbackConfigs: [next] };
}

function requestOf({ script }: Cell, { kind }: Meeting): LLMRequest {
  const request = { messages: "hi", requestId: "mine" };
  return script?.toolCalls ? { ...request, tools: [ADD], model: KINDS[kind].toolModel } : request;
}

function chatsOf({ requests }: Fake): number {
  return requests.filter(({ path }) => /\/chat(\/completions)?$/.test(path)).length;
}

function outcomeOf({ response, error, delivered }: Result): Omit<Seen, keyof typeof NO_COUNTS> {
  if (response) return { says: response.content, delivered };
  const { name, code, status, partial, cause } = error!;
  const isBroken = name === "StreamInterruptedError";
  const causeCode = isBroken ? (cause as LLMError).code : undefined;
  return { error: `${name}: ${code}`, status, cause: causeCode, delivered, partial };
}

const NO_COUNTS = { requests: 0, retries: 0, fallbacks: 0 };

function countsOf({ retries, fallbacks }: Told) {
  return { retries: retries.length, fallbacks: fallbacks.length };
}

/** Hooks, errors and responses must tell the same. */
function checkRecords({ response, error }: Result, told: Told): void {
  const attempts = told.attempts.map(({ attempt }) => attempt);
  expect((response ?? error)?.attempts).toEqual(attempts);
  expect((response ?? error)?.requestId).toBe("mine");
  expect(told.finishes).toEqual([{ requestId: "mine", response, error }]);
  const last = attempts.at(-1);
  if (response) expect(last).toMatchObject({ phase: "done" });
  else expect(last).toMatchObject({ code: error!.code });
  expect(told.retries.map(({ error: { code } }) => code)).toEqual(
    attempts.slice(0, told.retries.length).map(({ code }) => code),
  );
}

function checkCell(cell: Cell, { second }: Meeting, { response }: Result, told: Told): void {
  if (cell.response && response) expect(response).toMatchObject(cell.response);
  if (!cell.delay || second) return;
  const [from, to] = cell.delay;
  for (const { delay } of told.retries) {
    expect(delay).toBeGreaterThanOrEqual(from);
    expect(delay).toBeLessThanOrEqual(to);
  }
}

/** The fault must leave nothing behind. */
async function checkUse(
  client: { generate(request: LLMRequest): Promise<unknown> },
  { second }: Meeting,
) {
  const good = client.generate({ messages: "hi", timeoutOverride: 20 });
  const response = await ending("the next call", good);
  // After refusals the second provider may be preferred for a while.
  if (!second) expect(response).toMatchObject({ content: HELLO });
}
