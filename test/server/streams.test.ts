import { once } from "node:events";
import { type RunningServer, sendRaw, startServer } from "../helpers/running-server.js";

let running: RunningServer;
afterEach(() => running.stop());

const messages = [{ role: "user", content: "A secret question" }];
const chat = { model: "m", messages };
const PATH = "/v1/chat/completions";

function rawRequest(body: object): string {
  const text = JSON.stringify(body);
  return `POST ${PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
}

test.each([true, false])("ends the work when the client leaves (stream: %s)", async (stream) => {
  running = await startServer();
  running.ollama.fault("never-answers");
  const socket = await sendRaw(running.url, rawRequest({ ...chat, stream }));
  await running.ollama.requestCount(1);
  socket.destroy();
  await running.ollama.disconnectCount(1);
  expect(running.log.join("\n")).toContain("client left");
});

test("ends the work when the client leaves in the middle of a stream", async () => {
  running = await startServer();
  running.ollama.fault("silence", { at: "mid-stream" });
  const socket = await sendRaw(running.url, rawRequest({ ...chat, stream: true }));
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  while (!text.includes("Hello")) await once(socket, "data");
  socket.destroy();
  await running.ollama.disconnectCount(1);
});

test("does not read further than a slow reader does", async () => {
  running = await startServer();
  const pieces = Array.from({ length: 2000 }, () => "x".repeat(10_000));
  running.ollama.replies.set({ text: pieces });
  const socket = await sendRaw(running.url, rawRequest({ ...chat, stream: true }));
  socket.pause();
  await running.ollama.requestCount(1);
  // The reply is 20 MB, which no buffer on the way holds.
  const before = running.log.length;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(running.log.length).toBe(before);
  let size = 0;
  socket.on("data", (chunk) => (size += chunk.length));
  socket.resume();
  while (size < 20_000_000) await once(socket, "data");
  socket.destroy();
});

test("tells in a long silence that work goes on", async () => {
  running = await startServer({ keepAlive: 0.05 });
  running.ollama.fault("never-answers");
  const response = await running.ask(PATH, { ...chat, stream: true });
  expect(response.status).toBe(200);
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  expect(new TextDecoder().decode(value)).toBe(": working\n\n");
  await reader.cancel();
  await running.ollama.disconnectCount(1);
});

test("answers 64 streams at a time", async () => {
  running = await startServer();
  const asked = Array.from({ length: 64 }, () => running.ask(PATH, { ...chat, stream: true }));
  const texts = await Promise.all(asked.map(async (response) => (await response).text()));
  expect(texts.filter((text) => text.includes("[DONE]"))).toHaveLength(64);
});

test("refuses requests when enough of them wait", async () => {
  running = await startServer({ maxConcurrent: 1, maxQueued: 1 });
  running.ollama.fault("never-answers");
  const first = running.ask(PATH, chat).catch(() => {});
  await running.ollama.requestCount(1);
  // One of them waits, so the other one answers first.
  const others = [running.ask(PATH, chat), running.ask(PATH, chat)];
  const refused = await Promise.race(others);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await refused.json()).toMatchObject({ error: { code: "overloaded" } });
  await running.server.close();
  await Promise.allSettled([first, ...others]);
});

test("refuses bodies that are too large, also those that do not tell their size", async () => {
  running = await startServer({ maxBodyBytes: 1000 });
  const body = JSON.stringify({ ...chat, user: "x".repeat(1000) });
  const told = await running.ask(PATH, undefined, { method: "POST", body });
  const untold = await running.ask(PATH, undefined, {
    method: "POST",
    body: new Blob([body]).stream(),
    duplex: "half",
  } as RequestInit);
  for (const response of [told, untold]) {
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: "body_too_large" } });
  }
  const small = await running.ask(PATH, undefined, {
    method: "POST",
    body: new Blob([JSON.stringify(chat)]).stream(),
    duplex: "half",
  } as RequestInit);
  expect(small.status).toBe(200);
});

test("refuses what is not JSON, and paths that it does not have", async () => {
  running = await startServer();
  const broken = await running.ask(PATH, undefined, { method: "POST", body: "{" });
  expect([broken.status, await broken.json()]).toMatchObject([
    400,
    { error: { code: "bad_json" } },
  ]);
  const unknown = await running.ask("/v2/x");
  expect([unknown.status, await unknown.json()]).toMatchObject([
    404,
    { error: { code: "not_found" } },
  ]);
});

test("answers a prompt that is too long with 400 and the counts", async () => {
  running = await startServer();
  running.ollama.fault("ollama-overflow");
  const response = await running.ask(PATH, { ...chat, stream: true });
  expect(response.status).toBe(400);
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  expect(error.code).toBe("context_length_exceeded");
  expect(error.message).toMatch(/\d+.*\d+/);
});

test("lets streams end before it closes, and takes no more requests", async () => {
  running = await startServer({ drainTimeout: 10 });
  running.ollama.fault("pause", { ms: 300, at: "mid-stream" });
  const response = await running.ask(PATH, { ...chat, stream: true });
  const closed = running.server.close();
  await expect(running.ask("/health")).rejects.toThrow();
  expect(await response.text()).toContain("[DONE]");
  await closed;
});

test("ends streams that take too long when it closes, and says so", async () => {
  running = await startServer({ drainTimeout: 0.05 });
  running.ollama.fault("silence", { at: "mid-stream" });
  const response = await running.ask(PATH, { ...chat, stream: true });
  const closed = running.server.close();
  const text = await response.text();
  expect(text).toContain('"code":"closed"');
  await closed;
});

test("logs requests without their texts", async () => {
  running = await startServer();
  await (await running.ask(PATH, chat)).text();
  await (await running.ask(PATH, { ...chat, temperature: "A secret question" })).text();
  expect(running.log[0]).toMatch(/^POST \/v1\/chat\/completions 200 [\d.]+ s ollama:m 6 tokens /);
  expect(running.log.join("\n")).not.toContain("secret question");
});
