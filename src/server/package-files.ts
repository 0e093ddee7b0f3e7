import { existsSync, readFileSync } from "node:fs";

const NAME = "mlx-llm-client";
const UNKNOWN = "0.0.0";

/** A file of this package; undefined where the package has been bundled into something else. */
export function readPackageFile(path: string): string | undefined {
  const folder = packageFolder(new URL(".", import.meta.url));
  const file = folder && new URL(path, folder);
  return file && existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** The version of this package. */
export function readVersion(): string {
  const text = readPackageFile("package.json");
  return text === undefined ? UNKNOWN : (JSON.parse(text) as { version: string }).version;
}

/** Found upwards, because builds put this file at several depths. */
function packageFolder(folder: URL): URL | undefined {
  const file = new URL("package.json", folder);
  if (existsSync(file)) {
    const { name } = JSON.parse(readFileSync(file, "utf8")) as { name?: string };
    if (name === NAME) return folder;
  }
  const above = new URL("..", folder);
  return above.href === folder.href ? undefined : packageFolder(above);
}
