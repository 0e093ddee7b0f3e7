import type { LLMError, LLMResponse } from "../../src/index.js";
import { TimeoutError } from "../../src/index.js";
import { type FaultSettings, STAGES, type Stage } from "../servers/faults.js";
import type { ScriptedReply } from "../servers/scripted-replies.js";
import type { KindName } from "../servers/kinds.js";

/** What a healthy fake says. */
export const HELLO = "Hello from a fake.";

/** What must come of a call that meets a fault. */
export interface Cell {
  /** How it ends without another provider: with a reply, or with an error. */
  ends: { says: string } | { error: string; status?: number; cause?: string };
  /** What was delivered before it failed; empty as long as another provider may answer a stream. */
  text: string;
  /** How often the request is sent again to the same server, at most twice; nobody else can answer. */
  retries: number;
  /** False where nothing reaches the server. */
  isHeard: boolean;
  /** Whether another provider takes over, where there is one. */
  canBeReplaced: boolean;
  /** Seconds that a retry is put off, from and to. */
  delay?: [number, number];
  /** Which time limit is short. */
  shortLimit?: "timeout" | "firstTokenTimeout";
  settings?: FaultSettings;
  /** What the server says, where it is not the usual. */
  script?: ScriptedReply;
  /** What else the response holds. */
  response?: Partial<LLMResponse>;
}

/** A cell for each kind of server; a text is the reason why there can be none. */
export type Cells = Cell | ({ others: Cell | string } & Partial<Record<KindName, Cell | string>>);

/** The cells of a fault at each stage, or of one that changes the whole reply. */
export type Row = { whole: Cells } | Record<Stage, Cells | string>;

/** What must come of each fault of a group. */
export type Table<Faults> = Record<keyof Faults, Row>;

type ErrorClass = { prototype: LLMError };
type Details = Partial<Pick<Cell, "retries" | "isHeard" | "canBeReplaced" | "settings">> & {
  status?: number;
};

const USUAL = { text: "", retries: 0, isHeard: true };

/** The reply is good in spite of the fault. */
export function answers(more: Partial<Omit<Cell, "ends">> & { says?: string } = {}): Cell {
  const { says = HELLO, ...rest } = more;
  return { ...USUAL, ends: { says }, canBeReplaced: false, ...rest };
}

/** The second attempt answers, after a delay; nobody waits where another provider can answer. */
export function recovers(delay: [number, number], settings: FaultSettings = {}): Cell {
  return {
    ...answers({ retries: 1, canBeReplaced: true }),
    settings: { ...settings, times: 1 },
    delay,
  };
}

/** It fails before any content. */
export function fails(error: ErrorClass, code: string, { status, ...more }: Details = {}): Cell {
  const ends = { error: nameOf(error, code), status };
  return { ...USUAL, ends, canBeReplaced: true, ...more };
}

/** It fails after this text, so only a whole reply can be replaced. */
export function breaksOff(text: string, cause: string, settings?: FaultSettings): Cell {
  const ends = { error: "StreamInterruptedError: stream_interrupted", cause };
  return { ...USUAL, ends, text, canBeReplaced: true, settings };
}

/** It is given up when nothing comes within its time. */
export function givenUp(text = ""): Cell {
  const code = text === "" ? "first_content_timeout" : "idle_timeout";
  return {
    ...fails(TimeoutError, code),
    text,
    shortLimit: text === "" ? "firstTokenTimeout" : "timeout",
  };
}

/** A fault that can strike at one stage only; `why` tells it. */
export function onlyAt(stage: Stage, cells: Cells, why: string): Row {
  const entries = STAGES.map((each) => [each, each === stage ? cells : why]);
  return Object.fromEntries(entries) as Record<Stage, Cells | string>;
}

/** A fault of a stream that has begun. */
export function onceStarted(cells: Record<"first-content" | "mid-stream" | "end", Cells>): Row {
  const why = "it is a fault of streams, and none has begun";
  return { connect: why, load: why, ...cells };
}

/** What is expected of one kind: a cell, or the reason why there is none. */
export function cellFor(cells: Cells | string, kind: KindName): Cell | string {
  if (typeof cells === "string" || "ends" in cells) return cells;
  return cells[kind] ?? cells.others;
}

function nameOf({ prototype }: ErrorClass, code: string): string {
  return `${prototype.name}: ${code}`;
}
