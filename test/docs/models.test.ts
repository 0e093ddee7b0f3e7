import { readPage } from "../helpers/markdown.js";
import { describeNative } from "../helpers/native.js";

describeNative("docs/models.md", (addon) => {
  test("has a row for every architecture, in order of name", () => {
    const rows = [...readPage("docs/models.md").matchAll(/^\| `([\w-]+)`/gm)];
    expect(rows.map(([, type]) => type)).toEqual(addon.modelTypes());
  });
});
