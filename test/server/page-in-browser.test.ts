import type { Browser, Page } from "puppeteer-core";
import { describeBrowser } from "../helpers/browser.js";
import { type RunningServer, startServer } from "../helpers/running-server.js";

jest.setTimeout(60_000);

describeBrowser("the page in a browser", (open) => {
  let browser: Browser;
  let running: RunningServer;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    browser = await open();
  });
  afterAll(() => browser.close());

  async function visit(token?: string) {
    running = await startServer({ token });
    page = await browser.newPage();
    problems.length = 0;
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("request", (request) => {
      if (!/^data:/.test(request.url()) && !request.url().startsWith(running.url)) {
        problems.push(`asks ${request.url()}`);
      }
    });
    await page.goto(running.url);
  }
  afterEach(async () => {
    await page.close();
    await running.stop();
  });

  const textOf = (selector: string) =>
    page.$eval(selector, (element) => (element as unknown as { textContent: string }).textContent);
  /** Waits until something says so. */
  async function says(selector: string, text: string) {
    const query = `document.querySelector(${JSON.stringify(selector)})?.textContent.includes(${JSON.stringify(text)})`;
    await page.waitForFunction(query, { timeout: 20_000 });
  }

  test("chats by keyboard, shows thoughts and figures, and remembers what was said", async () => {
    await visit();
    await says("#model", "m:latest");
    running.ollama.replies.set({ reasoning: ["I think"], text: ["<b>Hello</b>", " you"] });
    await page.keyboard.type("Hello");
    await page.keyboard.press("Enter");
    await says(".figures", "tokens");
    // What a model says is text, whatever it looks like.
    expect(await textOf(".assistant .text")).toBe("<b>Hello</b> you");
    expect(await textOf(".thoughts pre")).toBe("I think");
    await page.keyboard.type("Again");
    await page.keyboard.press("Enter");
    await says("article:nth-of-type(4) .figures", "tokens");
    expect(running.ollama.requests.at(-1)!.json).toMatchObject({
      messages: [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "<b>Hello</b> you" },
        { role: "user", content: "Again" },
      ],
    });
    expect(problems).toEqual([]);
  });

  test("stops a reply with Escape, and keeps what had come", async () => {
    await visit();
    await says("#model", "m:latest");
    running.ollama.fault("silence", { at: "mid-stream" });
    await page.keyboard.type("Hello");
    await page.keyboard.press("Enter");
    await says(".assistant .text", "Hello");
    await page.keyboard.press("Escape");
    await says("#status", "Stopped.");
    await running.ollama.disconnectCount(1);
    expect(problems).toEqual([]);
  });

  test("asks for the key that the server wants", async () => {
    await visit("s3cret");
    await says("#status", "wants a key");
    await page.keyboard.type("s3cret");
    await page.keyboard.press("Tab");
    await says("#model", "m:latest");
    expect(problems).toEqual([]);
  });

  test("has a name for everything that can be used", async () => {
    await visit();
    await says("#model", "m:latest");
    const nodes = [(await page.accessibility.snapshot())!];
    const used: [string, string | undefined][] = [];
    for (const { role, name, children = [] } of nodes) {
      nodes.push(...children);
      if (/button|textbox|combobox|spinbutton/.test(role)) used.push([role, name?.trim()]);
    }
    expect(used.map(([, name]) => name)).toEqual(
      expect.arrayContaining(["Model", "New chat", "Message", "Send", "Stop"]),
    );
    expect(used.filter(([, name]) => !name)).toEqual([]);
  });
});
