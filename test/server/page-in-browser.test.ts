import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AxeResults } from "axe-core";
import type { Browser, Page } from "puppeteer-core";
import { describeBrowser } from "../helpers/browser.js";
import type { FakeOllamaOptions } from "../servers/fake-ollama.js";
import { type RunningServer, startServer } from "../helpers/running-server.js";

jest.setTimeout(120_000);

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const LAST = "article:last-child";
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

describeBrowser("the page in a browser", (open) => {
  let browser: Browser;
  let running: RunningServer;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    browser = await open();
  });
  afterAll(() => browser.close());

  async function visit(token?: string, fake?: FakeOllamaOptions) {
    running = await startServer({ token }, {}, fake);
    const context = await browser.createBrowserContext();
    page = await context.newPage();
    problems.length = 0;
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("request", (request) => {
      if (!/^data:/.test(request.url()) && !request.url().startsWith(running.url)) {
        problems.push(`asks ${request.url()}`);
      }
    });
    // What the policy forbids is told there.
    page.on("console", (message) => {
      if (/Content Security Policy/.test(message.text())) problems.push(message.text());
    });
    await page.goto(running.url);
    if (!token) await says("#model", "m:latest");
  }
  afterEach(async () => {
    await page.browserContext().close();
    await running.stop();
    expect(problems).toEqual([]);
  });

  /** What an element is, or does, in the browser. */
  const look = (selector: string, property: string): Promise<unknown> =>
    page.evaluate(`document.querySelector(${JSON.stringify(selector)})?.${property}`);
  /** Waits until something says so. */
  async function says(selector: string, text: string) {
    const query = `document.querySelector(${JSON.stringify(selector)})?.textContent.includes(${JSON.stringify(text)})`;
    await page.waitForFunction(query, { timeout: 30_000 });
  }
  async function write(text: string) {
    await page.keyboard.type(text);
    await page.keyboard.press("Enter");
  }
  const lastRequest = () => running.ollama.requests.at(-1)!.json;

  test("chats by keyboard, shows thoughts and figures, and remembers what was said", async () => {
    await visit();
    running.ollama.replies.set({ reasoning: ["I think"], text: ["**Hello**", " you"] });
    await write("Hello");
    await says(`${LAST} .figures`, "tokens");
    expect(await look(`${LAST} > .text`, "innerHTML")).toBe("<p><strong>Hello</strong> you</p>");
    expect(await look(".thoughts", "open")).toBe(false);
    expect(await look(".thoughts .text", "textContent")).toBe("I think");
    await write("Again");
    await says("article:nth-of-type(4) .figures", "tokens");
    expect(lastRequest()).toMatchObject({
      messages: [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "**Hello** you" },
        { role: "user", content: "Again" },
      ],
    });
    await says("#memory", "process");
    await page.reload();
    await says("article:nth-of-type(4) .figures", "tokens");
    await page.click("#new");
    expect(await look("article", "textContent")).toBeUndefined();
  });

  test("shows what a model says as text, whatever it looks like", async () => {
    await visit();
    const text = [
      '<img src="https://evil.test/a.png" onerror="alert(1)"> <b>bold</b>\n\n',
      "[x](javascript:alert(1)) ![y](https://evil.test/b.png) [z](https://a.test/)\n\n",
      "```js\n<script>alert(2)</script>\n```\n\n<script>alert(3)</script>\n\n&lt;p&gt;",
    ];
    running.ollama.replies.set({ text });
    await write("Hello");
    await says(`${LAST} .figures`, "tokens");
    const tags = "[...document.querySelectorAll('.assistant .text *')].map((it) => it.localName)";
    const allowed = ["p", "span", "a", "figure", "figcaption", "button", "pre", "code"];
    expect(allowed).toEqual(expect.arrayContaining((await page.evaluate(tags)) as string[]));
    expect(await look(`${LAST} .text a`, "href")).toBe("https://a.test/");
    const shown = await look(`${LAST} > .text`, "textContent");
    for (const part of ["<b>bold</b>", "alert(2)</script>", "alert(3)</script>", "<p>"]) {
      expect(shown).toContain(part);
    }
  });

  test("shows a reply while it comes, stops it with Escape, and keeps what had come", async () => {
    await visit();
    running.ollama.fault("silence", { at: "mid-stream" });
    await write("Hello");
    await says(`${LAST} > .text`, "Hello");
    expect([await look("#send", "hidden"), await look("#stop", "hidden")]).toEqual([true, false]);
    // What is read aloud is not told token by token.
    expect(await look("#spoken", "textContent")).toBe("");
    await page.keyboard.press("Escape");
    await says("#status", "Stopped.");
    await running.ollama.disconnectCount(1);
    expect(await look("#spoken", "textContent")).toContain("Hello");
    await says(`${LAST} .figures`, "stopped");
  });

  test("stops with its button, and gives the focus back", async () => {
    await visit();
    running.ollama.fault("silence", { at: "mid-stream" });
    await write("Hello");
    await says(`${LAST} > .text`, "Hello");
    await page.click("#stop");
    await says("#status", "Stopped.");
    expect(await page.evaluate("document.activeElement.id")).toBe("prompt");
  });

  test("shows why a reply failed with what helps, and tries again", async () => {
    await visit();
    running.ollama.fault("ollama-overflow");
    await write("Hello");
    await says(`${LAST} .problem`, "context");
    expect(await look("#spoken", "textContent")).toContain("context");
    await running.ollama.clearFaults();
    await page.click(`${LAST} .retry`);
    await says(`${LAST} > .text`, "Hello from a fake.");
    expect(await page.evaluate("document.querySelectorAll('article').length")).toBe(2);
    expect(lastRequest()).toMatchObject({ messages: [{ role: "user", content: "Hello" }] });
  });

  test("shows calls of tools, and takes their results", async () => {
    await visit();
    await page.click("#open");
    await page.type("#tools", '[{ "name": "weather" ');
    await page.click(".end button");
    // The dialog stays until the tools make sense.
    expect(await look("#settings", "open")).toBe(true);
    await page.type("#tools", "}]");
    await page.click(".end button");
    running.ollama.replies.once({ toolCalls: [{ name: "weather", arguments: { city: "Rome" } }] });
    await page.focus("#prompt");
    await write("Weather?");
    await says(".call summary", "weather");
    await says(".call .state", "waits");
    expect(await look(".call pre", "textContent")).toContain('"city": "Rome"');
    await page.type(".call textarea", "sun");
    await page.click(".calls .main");
    await says(`${LAST} > .text`, "Hello from a fake.");
    expect(await look(".call .state", "textContent")).toBe("done");
    expect(lastRequest()).toMatchObject({
      messages: [{ role: "user" }, { role: "assistant" }, { role: "tool", content: "sun" }],
    });
  });

  test("sends images where the model takes them, and a system message", async () => {
    // This version tells what models can do.
    const models = ["blind", "m"].map((name, index) => ({
      name,
      capabilities: ["completion", "vision"].slice(0, index + 1),
    }));
    await visit(undefined, { version: "0.33.0", models });
    await page.select("#model", "blind:latest");
    expect(await look("#attach", "hidden")).toBe(true);
    await page.select("#model", "m:latest");
    expect(await look("#attach", "hidden")).toBe(false);
    await page.evaluate(`(() => {
      const bytes = Uint8Array.from(atob("${PIXEL}"), (it) => it.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], "a.png", { type: "image/png" }));
      const files = document.querySelector("#files");
      files.files = transfer.files;
      files.dispatchEvent(new Event("change"));
    })()`);
    await page.waitForSelector("#images img");
    await page.click("#open");
    await page.type("#system", "Be brief.");
    await page.click(".end button");
    await page.focus("#prompt");
    await write("What is it?");
    await says(`${LAST} > .text`, "Hello from a fake.");
    expect(lastRequest()).toMatchObject({
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "What is it?", images: [PIXEL] },
      ],
    });
    // The choice of the model outlives a visit.
    await page.reload();
    await says("#model", "m:latest");
    expect(await look("#model", "value")).toBe("m:latest");
  });

  test("asks for the key that the server wants", async () => {
    await visit("s3cret");
    await says("#key-problem", "wants a key");
    expect(await page.evaluate("document.activeElement.id")).toBe("key");
    await write("s3cret");
    await says("#model", "m:latest");
    expect(await look("#settings", "open")).toBe(false);
    expect(await page.evaluate("JSON.stringify({ ...localStorage })")).not.toContain("s3cret");
  });

  test("can be used with the Tab key alone, in the order of what is seen", async () => {
    await visit();
    await page.focus(".skip");
    const order = [];
    for (let press = 0; press < 11; press++) {
      const name = "document.activeElement.id || document.activeElement.textContent";
      order.push(String(await page.evaluate(name)));
      await page.keyboard.press("Tab");
    }
    const [skip, ...others] = order;
    expect(skip).toBe("Skip to the message");
    const names = others.filter((name) => !name.endsWith("?"));
    expect(names).toEqual(["model", "open", "new", "prompt", "attach", "send"]);
  });

  test.each([
    ["light", 1200],
    ["dark", 1200],
    ["light", 360],
  ])("is accessible as far as axe can tell (%s, %d wide)", async (value, width) => {
    await visit();
    await page.setViewport({ width, height: 700 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
    running.ollama.replies.once({
      reasoning: ["I think"],
      text: [
        "# A\n\n`b`\n\n```js\nc\n```\n\n| d | e |\n|---|---|\n| f | g |\n\n[h](https://a.test)",
      ],
      toolCalls: [{ name: "weather", arguments: {} }],
    });
    await page.evaluate(axe);
    const check = async () => {
      const { violations } = (await page.evaluate("axe.run()")) as AxeResults;
      const found = violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]);
      expect(found).toEqual([]);
      const overflow = "document.documentElement.scrollWidth - innerWidth";
      expect(await page.evaluate(overflow)).toBeLessThanOrEqual(0);
    };
    await check();
    await page.focus("#prompt");
    await write("Hello");
    await says(".call .state", "waits");
    await page.click(".thoughts summary");
    await check();
    running.ollama.fault("ollama-overflow");
    await page.focus("#prompt");
    await write("Hello");
    await says(".problem", "context");
    await check();
    await page.click("#open");
    await check();
  });
});
