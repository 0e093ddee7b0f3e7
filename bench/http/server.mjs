// A server that costs little: it replays prepared bytes, a chunk for each token, to all who are
// being answered in turns. It is no model, and waits for nothing but slow readers.
//   node bench/http/server.mjs        prints its address, ends with its stdin
import { createServer } from "node:http";
import { lists, models, ollamaReply, openAiReply } from "./replies.mjs";

const names = Object.keys(models);
const replies = {
  "/api/chat": Object.fromEntries(names.map((name) => [name, ollamaReply(name)])),
  "/v1/chat/completions": Object.fromEntries(names.map((name) => [name, openAiReply(name)])),
};

/** Replies that have more to say. */
const speaking = new Set();

/** Says the next of every reply that is not slower, again and again. */
function speakOn() {
  for (const speak of speaking) speak();
  if (speaking.size > 0) setImmediate(speakOn);
}

function begin(response, { turns, end }, { isHeld, every }) {
  let turn = 0;
  const timer = every && setInterval(speak, every);
  const leave = () => {
    clearInterval(timer);
    speaking.delete(speak);
  };
  function speak() {
    const { socket } = response;
    if (socket.writableNeedDrain) return;
    // The response itself would make each chunk anew, in three pieces.
    socket.write(turns[turn++]);
    if (turn < turns.length) return;
    leave();
    if (!isHeld) response.end(end);
  }
  response.on("close", leave);
  if (!every) {
    if (speaking.size === 0) setImmediate(speakOn);
    speaking.add(speak);
  }
  // The headers come with the first token.
  response.socket.cork();
  response.flushHeaders();
  speak();
  response.socket.uncork();
}

function answer(path, body, response) {
  const { model, stream = path === "/api/chat", stream_options } = JSON.parse(body);
  const reply = replies[path][model];
  if (!stream) {
    const length = reply.whole.length;
    response.writeHead(200, { "content-type": "application/json", "content-length": length });
    return response.end(reply.whole);
  }
  response.writeHead(200, { "content-type": reply.type });
  const end = stream_options?.include_usage && reply.endWithUsage;
  begin(response, { turns: reply.turns, end: end || reply.end }, models[model]);
}

const server = createServer((request, response) => {
  const list = lists[request.url];
  if (list) {
    response.writeHead(200, { "content-type": "application/json" });
    return response.end(JSON.stringify(list));
  }
  if (!replies[request.url]) return response.writeHead(404).end("404 page not found");
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text) => {
    body += text;
  });
  request.on("end", () => answer(request.url, body, response));
});
// Longer than a benchmark pauses.
server.keepAliveTimeout = 60_000;

process.stdin.on("end", () => process.exit()).resume();
server.listen({ port: 0, host: "127.0.0.1", backlog: 2048 }, () =>
  console.log(`http://127.0.0.1:${server.address().port}`),
);
