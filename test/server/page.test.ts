import { readdirSync } from "node:fs";
import { join } from "node:path";
import { chat, listModels, readMemory } from "../../page/chat.mjs";
import { addPiece, breakOff, messagesOf, openCalls, toolsOf } from "../../page/conversation.mjs";
import { readPage, root } from "../helpers/markdown.js";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

interface Turn {
  role: string;
  content: string;
  [field: string]: unknown;
}

async function replyTo(base: string, options: { key?: string } = {}) {
  const messages = [{ role: "user", content: "Hello" }];
  const turn: Turn = { role: "assistant", content: "" };
  for await (const piece of chat({ model: "m", messages }, { base, ...options })) {
    addPiece(turn, piece);
  }
  return turn;
}

test("comes without a key, with all its files, and nothing from elsewhere", async () => {
  running = await startServer({ token: "k" });
  const page = await running.ask("/");
  const policy = page.headers.get("content-security-policy")!;
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain("unsafe");
  expect(await page.text()).toBe(readPage("page/index.html"));
  for (const name of readdirSync(join(root, "page")).filter((file) => file !== "index.html")) {
    const response = await running.ask(`/page/${name}`);
    expect([name, response.status]).toEqual([name, 200]);
    const text = await response.text();
    expect(text).toBe(readPage(`page/${name}`));
    expect(text).not.toMatch(/https?:\/\/|innerHTML|insertAdjacentHTML|\beval\b/);
  }
  expect(await (await running.ask("/page/marked.mjs")).text()).toContain("lexer");
  expect((await running.ask("/v1/models")).status).toBe(401);
});

test("lists models with what they can do, and reads replies piece by piece", async () => {
  running = await startServer({ token: "k" }, {}, { version: "0.33.0" });
  expect(await listModels({ base: running.url, key: "k" })).toMatchObject([
    { id: "m:latest", capabilities: expect.arrayContaining(["tools"]) },
  ]);
  running.ollama.replies.set({ reasoning: ["I think"], text: ["Grüße", " 🌍"] });
  expect(await replyTo(running.url, { key: "k" })).toMatchObject({
    content: "Grüße 🌍",
    thoughts: "I think",
    end: { reason: "stop", usage: { completion_tokens: 4 } },
  });
});

test("reads how much memory the server's process takes", async () => {
  running = await startServer();
  const { process: bytes } = await readMemory({ base: running.url });
  expect(bytes).toBeGreaterThan(10_000_000);
});

test("hears why it is refused, and that a reply broke off", async () => {
  running = await startServer({ token: "k" });
  await expect(listModels({ base: running.url })).rejects.toMatchObject({ status: 401 });
  running.ollama.fault("reset", { at: "mid-stream" });
  await expect(replyTo(running.url, { key: "k" })).rejects.toThrow("The reply broke off");
});

test("skips what keeps its connection alive", async () => {
  running = await startServer({ keepAlive: 0.02 });
  running.ollama.fault("delayed-headers", { ms: 150 });
  expect((await replyTo(running.url)).content).toBe("Hello from a fake.");
});

test("sends what was said, called and thought as the server takes it", () => {
  const call = { id: "c", name: "weather", arguments: "{}" };
  const turns = [
    { role: "user", content: "Look", images: ["data:image/png;base64,AA=="] },
    { role: "assistant", content: "", thoughts: "Hm", calls: [call] },
    { role: "tool", content: "sun", callId: "c" },
  ];
  expect(messagesOf(turns, "Be brief.")).toEqual([
    { role: "system", content: "Be brief." },
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
        { type: "text", text: "Look" },
      ],
    },
    {
      role: "assistant",
      content: "",
      reasoning_content: "Hm",
      tool_calls: [{ id: "c", type: "function", function: { name: "weather", arguments: "{}" } }],
    },
    { role: "tool", content: "sun", tool_call_id: "c" },
  ]);
  expect(openCalls(turns)).toEqual([]);
  expect(openCalls(turns.slice(0, 2))).toEqual([call]);
});

test("leaves out questions that were never answered, and calls that are not whole", () => {
  const failed: Turn = { role: "assistant", content: "", calls: [{ id: "c" }] };
  breakOff(failed, { error: "No." });
  const turns = [{ role: "user", content: "A" }, failed, { role: "user", content: "B" }];
  expect(messagesOf(turns, " ")).toEqual([{ role: "user", content: "B" }]);
});

test("takes tools as functions, or wrapped as the server wants them", () => {
  const tool = { name: "weather" };
  const wrapped = { type: "function", function: tool };
  expect(toolsOf(JSON.stringify([tool, wrapped]))).toEqual([wrapped, wrapped]);
  expect(toolsOf(" ")).toBeUndefined();
  for (const text of ["{", "{}", "[1]", "[null]"]) expect(() => toolsOf(text)).toThrow();
});
