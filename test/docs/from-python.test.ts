import { readPage, tablesOf } from "../helpers/markdown.js";

const page = "docs/from-python.md";

/** The file and the title that a cell names; the part before a colon may be of a `describe`. */
function placeOf(cell: string): { file: string; titles: string[] } {
  const [, file = "test/from-python.test.ts", title] = /^(?:`(.*?)`: )?(.*)$/.exec(cell)!;
  return { file, titles: title!.split(": ") };
}

test("every row of docs/from-python.md names a test that is there", () => {
  const rows = tablesOf(page).flatMap((table) => table.rows);
  expect(rows.length).toBeGreaterThan(70);
  const missing = rows.filter(([, , cell]) => {
    const { file, titles } = placeOf(cell!);
    const text = readPage(file);
    return !titles.every((title) => text.includes(`("${title}", `));
  });
  expect(missing).toEqual([]);
});

test("every test that docs/from-python.md is about has a row", () => {
  const text = readPage("test/from-python.test.ts");
  const titles = [...text.matchAll(/\btest\("(.*?)", /g)].map(([, title]) => title!);
  const named = tablesOf(page).flatMap(({ rows }) => rows.map(([, , cell]) => cell!));
  expect(titles.filter((title) => !named.some((cell) => cell.endsWith(title)))).toEqual([]);
});
