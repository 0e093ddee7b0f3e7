import { existsSync } from "node:fs";
import { type Browser, launch } from "puppeteer-core";

const USUAL = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

const executablePath = process.env.PUPPETEER_EXECUTABLE_PATH ?? USUAL.find(existsSync);

/** Describes what a real browser shows; where there is none, a skipped test says so. */
export function describeBrowser(name: string, body: (open: () => Promise<Browser>) => void): void {
  if (executablePath === undefined) {
    const reason = "no Chromium here, and PUPPETEER_EXECUTABLE_PATH names none";
    describe(name, () => test.skip(`is not tested: ${reason}`, () => {}));
    return;
  }
  // Without a sandbox, because tests also run as root in containers.
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const open = () => launch({ executablePath, args, headless: "shell" as const });
  describe(name, () => body(open));
}
