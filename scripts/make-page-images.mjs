// node scripts/make-page-images.mjs [folder]: pictures of the server's page for the docs, of a chat with the demo model.
// Wants a built package, and a Chromium: PUPPETEER_EXECUTABLE_PATH, or where it usually is.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "puppeteer-core";
import { BROWSER_FLAGS, findBrowser } from "./browser.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = process.argv[2] ?? join(root, "docs", "images");
const { LLMClient } = await import(join(root, "dist/esm/index.js"));
const { createServer } = await import(join(root, "dist/esm/server/index.js"));

const QUESTIONS = ["How do I list my models?", "What is the capital of Italy?", "What is 7 + 5?"];
const PICTURES = [
  { name: "page", scheme: "light", width: 960, height: 760 },
  { name: "page-dark", scheme: "dark", width: 960, height: 760 },
  { name: "page-phone", scheme: "light", width: 390, height: 760, deviceScaleFactor: 1.5 },
];

const client = new LLMClient({ provider: "mlx", model: "demo" });
const server = createServer(client, { port: 0, model: "demo" });
const url = await server.listen();
const browser = await launch({ executablePath: findBrowser(), args: BROWSER_FLAGS });
mkdirSync(folder, { recursive: true });
for (const picture of PICTURES) await take(picture);
await browser.close();
await server.close();
await client.close();

async function take({ name, scheme, ...viewport }) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.evaluateOnNewDocument(() => {
    localStorage.setItem("llm-client-settings", '{"temperature":"0"}');
    localStorage.setItem("llm-client-model", '"demo"');
  });
  await page.goto(url);
  await page.waitForFunction("document.querySelector('#model').value === 'demo'");
  for (const [index, question] of QUESTIONS.entries()) {
    await page.type("#prompt", question);
    await page.keyboard.press("Enter");
    await page.waitForFunction(`document.querySelectorAll('.retry').length === ${index + 1}`);
  }
  await page.waitForFunction("document.querySelector('#memory').textContent.includes('MLX')");
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await context.close();
}
