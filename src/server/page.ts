import type { Hono } from "hono";
import { Refusal } from "./failures.js";
import { readPackageFile } from "./package-files.js";
import type { Env } from "./service.js";

/** The files of the page, where they are and what they are. */
export const PAGE_FILES: Record<string, { file: string; type: string }> = {
  "/": { file: "page/index.html", type: "text/html; charset=utf-8" },
  "/page/page.css": { file: "page/page.css", type: "text/css; charset=utf-8" },
  "/page/page.mjs": { file: "page/page.mjs", type: "text/javascript; charset=utf-8" },
  "/page/chat.mjs": { file: "page/chat.mjs", type: "text/javascript; charset=utf-8" },
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
  for (const [path, { file, type }] of Object.entries(PAGE_FILES)) {
    app.get(path, ({ body }) => {
      const text = readPackageFile(file);
      if (text === undefined) throw new Refusal(404, "not_found", "The page is not here.");
      return body(text, 200, { ...HEADERS, "content-type": type });
    });
  }
}
