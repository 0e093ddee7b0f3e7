import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Hono } from "hono";
import { Refusal } from "./failures.js";
import { readPackageFile } from "./package-files.js";
import type { Env } from "./service.js";

const TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
};

const FILES = [
  ...["page.css", "page.mjs", "calls.mjs", "chat.mjs", "conversation.mjs", "elements.mjs"],
  ...["images.mjs", "markdown.mjs", "message.mjs", "settings.mjs", "store.mjs"],
];

/** Where the page and what belongs to it are, and who reads each. */
export const PAGE_FILES: Record<string, () => string | undefined> = {
  "/": () => readPackageFile("page/index.html"),
  "/page/marked.mjs": readMarked,
  ...Object.fromEntries(
    FILES.map((name) => [`/page/${name}`, () => readPackageFile(`page/${name}`)]),
  ),
};

/** Everything comes from here, and what a model says is never run. */
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};

/** Adds the page for people. */
export function addPage(app: Hono<Env>): void {
  for (const [path, read] of Object.entries(PAGE_FILES)) {
    const type = TYPES[path.split(".")[1] ?? "html"]!;
    app.get(path, ({ body }) => {
      const text = read();
      if (text === undefined) throw new Refusal(404, "not_found", "The page is not here.");
      return body(text, 200, { ...HEADERS, "content-type": type });
    });
  }
}

/** The reader of Markdown, which is one file without dependencies. */
function readMarked(): string | undefined {
  try {
    const { resolve } = createRequire(import.meta.url);
    return readFileSync(join(dirname(resolve("marked/package.json")), "lib/marked.esm.js"), "utf8");
  } catch {
    return undefined;
  }
}
