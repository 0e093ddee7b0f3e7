import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
beforeAll(async () => {
  running = await startServer();
});
afterAll(() => running.stop());

const DEPTH = 100_000;
const lists = "[".repeat(DEPTH) + "]".repeat(DEPTH);
const objects = `${'{"a":'.repeat(DEPTH)}1${"}".repeat(DEPTH)}`;
const messages = '[{"role":"user","content":"hi"}]';
const chat = "/v1/chat/completions";
const deepCall = `{"function":{"name":"f","arguments":${objects}}}`;

const post = (path: string, body: string) => fetch(running.url + path, { method: "POST", body });

test.each([
  ["a list", chat, lists],
  ["messages", chat, `{"model":"m","messages":${lists}}`],
  ["input", "/v1/responses", `{"model":"m","input":${lists}}`],
  [
    "a tool",
    chat,
    `{"messages":${messages},"tools":[{"type":"function","function":{"name":"f","parameters":${objects}}}]}`,
  ],
  ["a tool of Anthropic's", "/v1/messages", `{"messages":${messages},"tools":[${objects}]}`],
  ["a schema", "/api/chat", `{"model":"m","messages":${messages},"format":${objects}}`],
  ["metadata", chat, `{"messages":${messages},"metadata":${objects}}`],
  [
    "a call",
    "/api/chat",
    `{"model":"m","messages":[{"role":"assistant","content":"","tool_calls":[${deepCall}]}]}`,
  ],
])("refuses %s that is nested without end", async (_, path, body) => {
  const response = await post(path, body);
  expect(response.status).toBe(400);
  expect(await response.text()).toContain("nested too deeply");
});

test.each(["__proto__", "constructor", "toString"])("takes no field %s", async (name) => {
  const body = `{"model":"m","messages":${messages},"${name}":{"stream":true}}`;
  const response = await post(chat, body);
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(`${name} is not supported`);
  expect(({} as { stream?: unknown }).stream).toBeUndefined();
});

test("asks for arguments of a call that are called as what every object has", async () => {
  const parameters = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"string"}}}');
  const tool = { type: "function", function: { name: "f", parameters } };
  const request = { model: "m", messages: [{ role: "user", content: "hi" }], tools: [tool] };
  expect((await running.ask(chat, request)).status).toBe(200);
  const [asked] = running.ollama.requests.filter(({ path }) => path === "/api/chat").slice(-1);
  expect(String(asked?.body)).toContain('"properties":{"__proto__":{"type":"string"}}');
});
