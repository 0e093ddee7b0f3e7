import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { expandHome } from "../../home-folder.js";

/** The files that a beginning may become; folders end with a slash. */
export function completePath(beginning: string): string[] {
  const folder = beginning.endsWith("/") ? beginning : join(dirname(beginning), "/");
  const shown = beginning.includes("/") ? beginning.slice(0, beginning.lastIndexOf("/") + 1) : "";
  const start = beginning.slice(shown.length);
  try {
    return readdirSync(expandHome(folder), { withFileTypes: true })
      .filter(({ name }) => name.startsWith(start) && (start !== "" || !name.startsWith(".")))
      .map((entry) => `${shown}${entry.name}${entry.isDirectory() ? "/" : ""}`);
  } catch {
    return [];
  }
}
