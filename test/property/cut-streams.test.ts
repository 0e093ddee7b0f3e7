import type { Socket } from "node:net";
import { LLMError } from "../../src/errors.js";
import type { Provider, ProviderEvent } from "../../src/providers/provider.js";
import { ending, forEachOf, watchForUnhandledRejections } from "../helpers/client-calls.js";
import { startRawServer } from "../servers/raw-server.js";
import { answerBytes, eventsOf, finishOf, STREAMS, writePieces } from "./streams.js";

jest.setTimeout(120_000);

watchForUnhandledRejections();

let act: (socket: Socket, requestId: string) => void | Promise<void>;
let server: Awaited<ReturnType<typeof startRawServer>>;
beforeAll(async () => {
  server = await startRawServer((socket, requestId) => act(socket, requestId));
});
afterAll(() => server.close());

const everyPlace = (bytes: Buffer) => Array.from({ length: bytes.length + 1 }, (_, at) => at);

describe.each(STREAMS)("$file, ended by $framing", (stream) => {
  const bytes = answerBytes(stream);
  const finish = finishOf(stream, bytes);
  let provider: Provider;
  let whole: ProviderEvent[];
  beforeAll(async () => {
    provider = stream.create({ baseUrl: server.url, connectTimeout: 10, verifySsl: true });
    act = (socket) => send(socket, [bytes]);
    whole = (await eventsOf(provider, stream, "whole")).events;
  });
  afterAll(() => provider.close());

  async function send(socket: Socket, pieces: readonly Uint8Array[]): Promise<void> {
    await writePieces(socket, pieces);
    if (stream.framing === "close") socket.end();
  }

  async function receive(requestId: string) {
    const { events, error } = await ending(requestId, eventsOf(provider, stream, requestId));
    if (error !== undefined && !LLMError.is(error)) throw error;
    return { events, error };
  }

  test("is a whole reply", () => {
    expect(whole[0]).toMatchObject({ type: "start", model: stream.model });
    expect(whole.length).toBeGreaterThan(2);
    expect(whole.at(-1)).toMatchObject({ type: "finish" });
  });

  test("says the same wherever it is cut in two", async () => {
    act = (socket, at) => send(socket, [bytes.subarray(0, Number(at)), bytes.subarray(Number(at))]);
    await forEachOf(everyPlace(bytes), async (at) => {
      expect({ at, ...(await receive(String(at))) }).toEqual({ at, events: whole });
    });
  });

  test("says the same in any number of pieces", async () => {
    act = (socket, seed) => send(socket, piecesOf(bytes, Number(seed)));
    const seeds = Array.from({ length: 40 }, (_, index) => index + 1);
    await forEachOf(seeds, async (seed) => {
      expect({ seed, ...(await receive(String(seed))) }).toEqual({ seed, events: whole });
    });
  });

  test("is never a whole reply without its finish, wherever it ends", async () => {
    act = async (socket, at) => {
      await writePieces(socket, [bytes.subarray(0, Number(at))]);
      socket.end();
    };
    await forEachOf(everyPlace(bytes), async (at) => {
      const { events, error } = await receive(String(at));
      checkBeginning(events, whole);
      if (at < finish.from) expect({ at, error }).toEqual({ at, error: expect.any(Error) });
      if (at >= finish.to) expect({ at, error }).toEqual({ at });
      if (error) expect(CODES).toContain(error.code);
      else expect(events.at(-1)).toMatchObject({ type: "finish" });
    });
  });

  test("ends with a typed error wherever the connection is reset", async () => {
    act = async (socket, at) => {
      await writePieces(socket, [bytes.subarray(0, Number(at))]);
      socket.resetAndDestroy();
    };
    const places = everyPlace(bytes).filter((at) => at < finish.from && at % 7 === 0);
    await forEachOf(places, async (at) => {
      const { events, error } = await receive(String(at));
      checkBeginning(events, whole);
      expect({ at, code: error?.code }).toEqual({ at, code: "connection_reset" });
    });
  });

  test("does not wait for the end of a connection that stays open", async () => {
    const end = stream.framing === "chunks" ? bytes.lastIndexOf("0\r\n\r\n") : bytes.length;
    const gone = new Promise<void>((resolve) => {
      act = async (socket) => {
        socket.once("close", resolve);
        await writePieces(socket, [bytes.subarray(0, end)]);
      };
    });
    expect(await receive("open")).toEqual({ events: whole });
    await ending("the connection", gone);
  });
});

const CODES = ["connection_reset", "stream_truncated", "empty_response"];

/** Whatever was delivered is the beginning of the whole reply. */
function checkBeginning(events: ProviderEvent[], whole: ProviderEvent[]): void {
  for (const [index, event] of events.entries()) {
    const same = whole[index]!;
    expect(event.type).toBe(same.type);
    if ("text" in event && "text" in same) expect(same.text.startsWith(event.text)).toBe(true);
    else if (event.type !== "finish") expect(event).toEqual(same);
  }
}

/** Bytes in pieces of chance lengths; the same for the same seed. */
function piecesOf(bytes: Buffer, seed: number): Buffer[] {
  const pieces: Buffer[] = [];
  let state = seed;
  for (let at = 0; at < bytes.length; ) {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    // Half of them are of one byte or two.
    const length = state % 2 ? 1 + (state % 5 > 2 ? 1 : 0) : 1 + (state % 90);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
