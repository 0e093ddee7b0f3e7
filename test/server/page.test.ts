import { chat, listModels } from "../../page/chat.mjs";
import { readPage } from "../helpers/markdown.js";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
afterEach(() => running?.stop());

const html = readPage("page/index.html");

async function replyTo(base: string, options: { key?: string } = {}) {
  const messages = [{ role: "user", content: "Hello" }];
  const [pieces, ends]: [string[], { reason: string; usage: object }[]] = [[], []];
  for await (const piece of chat({ model: "m", messages }, { base, ...options })) {
    if (piece.reason) ends.push(piece as never);
    else pieces.push(piece.text ? `text ${piece.text}` : `thought ${piece.thought}`);
  }
  return { pieces, ends };
}

test("comes without a key, with all its files, and nothing from elsewhere", async () => {
  running = await startServer({ token: "k" });
  const page = await running.ask("/");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(await page.text()).toBe(html);
  const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file!);
  expect(files.filter((file) => !file.startsWith("/page/") && file !== "data:,")).toEqual([]);
  for (const file of [...files.filter((file) => file.startsWith("/")), "/page/chat.mjs"]) {
    const response = await running.ask(file);
    expect([file, response.status]).toEqual([file, 200]);
    expect(await response.text()).not.toMatch(/https?:\/\//);
  }
  expect((await running.ask("/v1/models")).status).toBe(401);
});

test("has a name for every control", () => {
  const controls = [...html.matchAll(/<(?:select|textarea|input)[^>]*?id="(\w+)"/g)];
  expect(controls.length).toBeGreaterThan(5);
  const named = [...html.matchAll(/<label(?: for="(\w+)")?.*?>(.*?)<\/label>/gs)].map(
    ([, id, inside]) => id ?? /id="(\w+)"/.exec(inside!)![1],
  );
  expect(controls.map(([, id]) => id).sort()).toEqual(named.sort());
  const script = readPage("page/page.mjs");
  const wanted = [...script.matchAll(/getElementById\("(\w+)"\)/g)].map(([, id]) => id!);
  const listed = [...script.matchAll(/\.\.\.\[(.*?)\]/gs)].flatMap(
    ([, ids]) => ids!.match(/\w+/g)!,
  );
  const missing = [...wanted, ...listed].filter((id) => !html.includes(`id="${id}"`));
  expect(missing).toEqual([]);
});

test("lists models and reads replies piece by piece", async () => {
  running = await startServer({ token: "k" });
  expect(await listModels({ base: running.url, key: "k" })).toEqual(["m:latest"]);
  running.ollama.replies.set({ reasoning: ["I think"], text: ["Grüße", " 🌍"] });
  const { pieces, ends } = await replyTo(running.url, { key: "k" });
  expect(pieces[0]).toBe("thought I think");
  expect(pieces.slice(1).join("").replaceAll("text ", "")).toBe("Grüße 🌍");
  expect(ends).toMatchObject([{ reason: "stop", usage: { completion_tokens: 4 } }]);
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
  expect((await replyTo(running.url)).pieces.join("").replaceAll("text ", "")).toBe(
    "Hello from a fake.",
  );
});
