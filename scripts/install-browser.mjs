// Installs Debian's Chromium for the tests of the page, where nothing stands in the way: as root, in a
// container for example. Elsewhere those tests take the browser that is there, or are skipped and say why.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { findBrowser } from "./browser.mjs";

const MOST_MS = 300_000;

const found = findBrowser();
if (found) console.log(`found ${found}`);
else if (!isDebian() || process.getuid?.() !== 0) {
  console.log("there is none; on Debian: apt-get install chromium");
} else install();

function isDebian() {
  const file = "/etc/os-release";
  return existsSync(file) && /^ID=debian$/m.test(readFileSync(file, "utf8"));
}

function install() {
  const apt = (...args) =>
    spawnSync("apt-get", ["-qq", ...args], { timeout: MOST_MS, stdio: "ignore" }).status === 0;
  const isThere = apt("update") && apt("install", "--yes", "--no-install-recommends", "chromium");
  console.log(isThere ? `installed ${findBrowser()}` : "it cannot be installed");
}
