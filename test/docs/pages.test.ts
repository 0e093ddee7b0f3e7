import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { transform } from "esbuild";
import { readPage, root } from "../helpers/markdown.js";

const pages = readdirSync(join(root, "docs"))
  .filter((name) => name.endsWith(".md"))
  .map((name) => `docs/${name}`);

describe("every page", () => {
  test.each(pages)("%s links only to what is there", (page) => {
    const links = [...readPage(page).matchAll(/\]\((?!https?:)([^)\s]*)\)/g)];
    const broken = links.filter(([, link]) => {
      const [path, anchor] = link!.split("#");
      const target = path === "" ? page : join("docs", path!);
      return !existsSync(join(root, target)) || (anchor && !anchorsOf(target).includes(anchor));
    });
    expect(broken.map(([, link]) => link)).toEqual([]);
  });

  test.each(pages)("%s has examples that can be read as code", async (page) => {
    const examples = [...readPage(page).matchAll(/```(js|ts|json)\n(.*?)```/gs)];
    for (const [, loader, code] of examples) {
      await transform(code!, { loader: loader as "js" | "ts" | "json", logLevel: "silent" });
    }
  });
});

/** The names by which a page's headings can be linked to. */
function anchorsOf(page: string): string[] {
  const headings = [...readPage(page).matchAll(/^#+ (.*)$/gm)];
  return headings.map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w -]/g, "")
      .replaceAll(" ", "-"),
  );
}
