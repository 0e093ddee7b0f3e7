import { existsSync, readFileSync } from "node:fs";

/** The version of this package, however deep in it this file is. */
export function readVersion(): string {
  for (let folder = new URL(".", import.meta.url); ; folder = new URL("..", folder)) {
    const file = new URL("package.json", folder);
    const { name, version } = existsSync(file)
      ? (JSON.parse(readFileSync(file, "utf8")) as { name?: string; version: string })
      : {};
    if (name === "mlx-llm-client") return version!;
  }
}
