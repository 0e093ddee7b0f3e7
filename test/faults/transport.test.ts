import { setTimeout as sleep } from "node:timers/promises";
import { ConnectionError, type LLMClient, ProtocolError } from "../../src/index.js";
import { transportFaults } from "../servers/faults/transport.js";
import { tellingClient, type Told } from "../helpers/client-calls.js";
import {
  answers,
  breaksOff,
  fails,
  givenUp,
  HELLO,
  onceStarted,
  onlyAt,
  type Table,
} from "./cells.js";
import { type Fake, KIND_NAMES, KINDS } from "../servers/kinds.js";
import { describeFaults } from "./matrix.js";

jest.setTimeout(120_000);

const lost = (status?: number) =>
  fails(ConnectionError, "connection_reset", { retries: 2, status });
const SHORTLY = { settings: { ms: 60 } };

const brokenConnection = {
  connect: lost(),
  load: lost(),
  "first-content": lost(),
  "mid-stream": breaksOff("Hello", "connection_reset"),
  end: breaksOff(HELLO, "connection_reset"),
};

const table: Table<typeof transportFaults> = {
  "connection-refused": onlyAt(
    "connect",
    fails(ConnectionError, "connection_refused", { isHeard: false }),
    "nobody is there to go any further",
  ),
  "never-answers": onlyAt("connect", givenUp(), "it is silence from the beginning"),
  "delayed-headers": onlyAt("load", answers(SHORTLY), "it is about the headers"),
  "headers-then-silence": onlyAt("first-content", givenUp(), "it is about what follows headers"),
  silence: {
    connect: givenUp(),
    load: givenUp(),
    "first-content": givenUp(),
    "mid-stream": givenUp("Hello"),
    end: givenUp(HELLO),
  },
  pause: {
    connect: answers(SHORTLY),
    load: answers(SHORTLY),
    "first-content": answers(SHORTLY),
    "mid-stream": answers(SHORTLY),
    end: answers(SHORTLY),
  },
  "slow-drip": { whole: answers({ settings: { ms: 20 } }) },
  reset: brokenConnection,
  cut: brokenConnection,
  eof: onceStarted({
    "first-content": {
      ollama: fails(ProtocolError, "stream_truncated"),
      others: fails(ProtocolError, "empty_response"),
    },
    "mid-stream": breaksOff("Hello", "stream_truncated"),
    end: breaksOff(HELLO, "stream_truncated"),
  }),
  // Where the connection is used again, this is seen below.
  "reused-socket-dies": onlyAt("connect", answers(), "it is about the next request"),
  "keep-alive-closed": { whole: answers() },
  "endless-line": onceStarted({
    "first-content": fails(ProtocolError, "protocol"),
    "mid-stream": breaksOff("Hello", "protocol"),
    end: breaksOff(HELLO, "protocol"),
  }),
};

describeFaults(transportFaults, table);

/** A connection serves the next request only after a turn of the event loop. */
const isFree = () => sleep(5);

describe.each(KIND_NAMES)("a client of %s", (kind) => {
  let fake: Fake;
  let client: LLMClient;
  let told: Told;
  beforeEach(async () => {
    fake = await KINDS[kind].start();
    const config = { ...KINDS[kind].leg(fake), maxRetries: 2, retryDelay: 0.001 };
    ({ client, told } = tellingClient(config));
  });
  afterEach(async () => {
    await client.close();
    await fake.close();
  });

  test("uses its connection again", async () => {
    for (let count = 0; count < 3; count++) {
      await client.generate("hi");
      await isFree();
    }
    expect(fake.connections).toBe(1);
  });

  test("does not notice when a connection dies that it uses again", async () => {
    fake.fault("reused-socket-dies");
    for (let count = 0; count < 3; count++) {
      expect((await client.generate("hi")).attempts).toMatchObject([{ phase: "done" }]);
      await isFree();
    }
    // The second and the third call met a dead connection first.
    expect(fake.requests).toHaveLength(5);
    expect(told.retries).toEqual([]);
  });

  test("survives a server that closes idle connections at any moment", async () => {
    fake.fault("keep-alive-closed", { ms: 4 });
    for (let count = 0; count < 30; count++) {
      expect((await client.generate("hi")).content).toBe(HELLO);
      await sleep(count % 8);
    }
    expect(told.retries).toEqual([]);
    expect(fake.connections).toBeGreaterThan(1);
  });

  test.each(["reset", "cut"] as const)(
    "asks again where connections are %s as soon as they are made",
    async (name) => {
      fake.fault(name, { at: "connect", on: "everything", times: 2 });
      expect(await client.generate("hi")).toMatchObject({ content: HELLO, retryCount: 2 });
      expect(told.retries.map(({ error }) => error.code)).toEqual(
        Array(2).fill("connection_reset"),
      );
    },
  );
});
