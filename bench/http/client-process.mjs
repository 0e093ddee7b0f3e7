// One measurement of one client, in a process of its own; prints figures as JSON.
//   node --expose-gc bench/http/client-process.mjs CLIENT MEASUREMENT URL
import { connect } from "node:net";
import { clients } from "./clients.mjs";
import { models, ollamaReply, tokensOf } from "./replies.mjs";

const [name, measurement, url] = process.argv.slice(2);
const client = await clients[name](url);

const texts = Object.fromEntries(
  Object.keys(models).map((model) => [model, tokensOf(model).join("")]),
);

function check(model, text) {
  if (text !== texts[model]) throw new Error(`${name} read "${text.slice(-80)}" of ${model}`);
}

async function readWhole(model) {
  check(model, await client.whole(model));
}

async function readStream(model) {
  let text = "";
  await client.stream(model, (piece) => {
    text += piece;
  });
  check(model, text);
}

/** Runs some work so often, a number of them at the same time. */
async function repeat(times, atOnce, work) {
  let left = times;
  const worker = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** Units of work for each second, and for each second of processor time. */
async function rate(units, work) {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { perSecond: units / seconds, perCpuSecond: units / ((user + system) / 1e6) };
}

async function requests(times, atOnce) {
  const work = () => repeat(times, atOnce, () => readWhole("short"));
  await work();
  return rate(times, work);
}

async function streams(count, model) {
  const all = (model) => Promise.all(Array.from({ length: count }, () => readStream(model)));
  // Opens the connections, and lets the compiler see the code.
  await all("short");
  await all("long");
  return rate(count * models[model].tokens, () => all(model));
}

/** Milliseconds from the call to the first text, and of a bare socket to its first byte. */
async function firstToken(times) {
  const floor = bareSocket();
  const samples = [];
  for (let round = -times; round < times; round++) {
    const sample = { floor: await floor.measure(), client: await timeToFirst("first") };
    if (round >= 0) samples.push(sample);
  }
  floor.close();
  const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
  const added = median(samples.map((sample) => sample.client - sample.floor));
  return { added, floor: median(samples.map((sample) => sample.floor)) };
}

async function timeToFirst(model) {
  const start = performance.now();
  let first;
  await client.stream(model, () => {
    first ??= performance.now() - start;
  });
  return first;
}

/** What no client can do without: the server's own work, and the way to it and back. */
function bareSocket() {
  const { hostname, port } = new URL(url);
  const body = JSON.stringify({ model: "first", messages: [], stream: true });
  const head = `POST /api/chat HTTP/1.1\r\nhost: ${hostname}\r\ncontent-length: ${body.length}`;
  const end = ollamaReply("first").end;
  const socket = connect({ host: hostname, port, noDelay: true });
  const measure = () =>
    new Promise((resolve) => {
      let first;
      const start = performance.now();
      socket.write(`${head}\r\n\r\n${body}`);
      socket.on("data", function read(bytes) {
        first ??= performance.now() - start;
        if (!bytes.includes(end)) return;
        socket.off("data", read);
        resolve(first);
      });
    });
  return { measure, close: () => socket.destroy() };
}

/** KiB of memory for each of many open streams that have begun. */
async function memory(count) {
  const open = (times) =>
    Promise.all(
      Array.from(
        { length: times },
        () =>
          new Promise((resolve, reject) => {
            let text = "";
            client
              .stream("held", (piece) => {
                text += piece;
                if (text === texts.held) resolve();
              })
              .catch(reject);
          }),
      ),
    );
  await repeat(50, 10, () => readStream("short"));
  await open(10);
  const before = await used();
  await open(count);
  const after = await used();
  const each = (kind) => (after[kind] - before[kind]) / count / 1024;
  return { heap: each("heap"), resident: each("resident") };
}

async function used() {
  for (let round = 0; round < 4; round++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, resident: rss };
}

const measurements = {
  "requests-1": () => requests(1500, 1),
  "requests-64": () => requests(4000, 64),
  streams: () => streams(1000, "long"),
  steady: () => streams(1000, "steady"),
  "first-token": () => firstToken(400),
  memory: () => memory(1000),
};

console.log(JSON.stringify(await measurements[measurement]()));
// Held streams have no end.
process.exit();
