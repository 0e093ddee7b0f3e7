import { type Browser, launch } from "puppeteer-core";
import { BROWSER_FLAGS, findBrowser } from "../../scripts/browser.mjs";

const executablePath = findBrowser();

/** Describes what a real browser shows; where there is none, a skipped test says so. */
export function describeBrowser(name: string, body: (open: () => Promise<Browser>) => void): void {
  if (executablePath === undefined) {
    const reason = "there is no Chromium here, and PUPPETEER_EXECUTABLE_PATH names none";
    describe(name, () => test.skip(`is not tested: ${reason}`, () => {}));
    return;
  }
  // Each launch has a profile of its own, in a temporary folder.
  describe(name, () => body(() => launch({ executablePath, args: BROWSER_FLAGS })));
}
