// What is bundled takes its licence along.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The licences of all packages of which something is in a bundle that esbuild describes. */
export function licensesOf({ outputs }) {
  const files = Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs));
  const folders = files.flatMap(
    (file) => file.match(/.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? [],
  );
  const texts = [...new Set(folders)].sort().map((folder) => {
    const name = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
    if (!name) throw new Error(`${folder} is bundled, but has no licence.`);
    return `${folder.split("node_modules/").at(-1)}\n\n${readFileSync(join(folder, name), "utf8")}`;
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
