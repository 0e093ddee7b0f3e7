import type { Socket } from "node:net";
import type { Exchange } from "../exchange.js";
import type { RecordedRequest } from "../fake-server.js";
import type { Reply } from "../wire-reply.js";

/**
 * When a fault strikes: before anything is answered, before the headers, after the headers,
 * after some content, and after all content but before the finish.
 */
export const STAGES = ["connect", "load", "first-content", "mid-stream", "end"] as const;

export type Stage = (typeof STAGES)[number];

/** How a fault differs from its default. */
export interface FaultSettings {
  /** One of the fault's stages; the first of them unless told. */
  at?: Stage;
  /** How many requests it strikes before the server is well again; all unless told. */
  times?: number;
  /** Which requests it strikes: those of chats unless told, or those whose path begins so. */
  on?: "chat" | "everything" | `/${string}`;
  /** How many pieces of content come before "mid-stream"; 1 unless told. */
  afterPieces?: number;
  /** How long a pause is, in milliseconds; each fault has its default. */
  ms?: number;
  /** What an error says. */
  message?: string;
  /** The status of "status". */
  status?: number;
  /** Headers added to a reply of another status. */
  headers?: Record<string, string>;
  /** The whole body of "status". */
  body?: string;
}

/** One way to fail: another reply, or an act at a stage. */
export interface Fault {
  description: string;
  /** The stages it can strike at; none for a fault of the whole reply. */
  stages: readonly Stage[];
  /** Whether it strikes this request at all. */
  applies?: (request: RecordedRequest, earlier: RecordedRequest[]) => boolean;
  change?: (reply: Reply, settings: FaultSettings, request: RecordedRequest) => Reply;
  strike?: (exchange: Exchange, settings: FaultSettings, reply?: Reply) => void | Promise<void>;
  /** Strikes a connection before it says anything, where all requests are meant. */
  strikeConnection?: (socket: Socket) => void;
  /** What happens after a reply that was sent as it should be. */
  afterwards?: (exchange: Exchange, settings: FaultSettings) => void;
}

/** A fault that answers something else, whatever was asked. */
export function instead(
  description: string,
  reply: (settings: FaultSettings, request: RecordedRequest, healthy: Reply) => Reply,
): Fault {
  return {
    description,
    stages: [],
    change: (healthy, settings, request) => reply(settings, request, healthy),
  };
}
