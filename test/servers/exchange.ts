import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Reply } from "./wire-reply.js";

/** One request and what has been answered so far; the means by which a fault strikes. */
export class Exchange {
  /** True once a fault, or the client, has ended it. */
  over = false;
  /** True where a fault broke the connection, so that it was not the client who left. */
  broken = false;
  private readonly gone = new AbortController();

  constructor(
    readonly request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    response.once("close", () => {
      this.over = true;
      this.gone.abort();
    });
  }

  get socket(): Socket {
    return this.request.socket;
  }

  /** Waits, but no longer than the client does. */
  async pause(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms, undefined, { signal: this.gone.signal }).catch(() => {});
  }

  /** Waits until the client has left. */
  async untilGone(): Promise<void> {
    if (!this.over) await new Promise((resolve) => this.response.once("close", resolve));
  }

  sendHead(reply: Reply): void {
    if (this.over) return;
    const length = reply.parts.reduce((sum, part) => sum + Buffer.from(part.bytes).length, 0);
    const headers = reply.streamed ? reply.headers : { ...reply.headers, "Content-Length": length };
    this.response.writeHead(reply.status, headers);
    this.response.flushHeaders();
  }

  /** Sends bytes and waits until the system has taken them. */
  async send(bytes: string | Buffer): Promise<void> {
    if (this.over || bytes.length === 0) return;
    await new Promise<void>((resolve) => {
      this.response.once("close", resolve);
      this.response.write(bytes, () => {
        this.response.off("close", resolve);
        resolve();
      });
    });
  }

  /** Ends the reply as it should be ended, however much of it is missing. */
  end(): void {
    if (this.over) return;
    this.over = true;
    this.response.end();
  }

  /** Closes the connection in the middle of whatever was being sent. */
  cut(): void {
    this.broken = true;
    this.over = true;
    this.socket.destroySoon();
  }

  /** Announces a chunk, sends half of it, and resets the connection. */
  async reset(reply?: Reply): Promise<void> {
    if (this.response.headersSent && reply?.streamed) {
      this.socket.write("100\r\nhalf of a chunk");
      // A reset that overtakes the bytes would throw them away.
      await this.pause(10);
    }
    this.broken = true;
    this.over = true;
    this.socket.resetAndDestroy();
  }
}
