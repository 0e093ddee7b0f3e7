import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describeNative } from "./helpers/native.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = ["README.md", "docs/architecture.md"];

test.each(pages)("every file that %s names is there", (page) => {
  const text = readFileSync(join(root, page), "utf8");
  const links = [...text.matchAll(/\]\(([^)#:]+)\)/g)].map(([, link]) => join(page, "..", link!));
  const named = [...text.matchAll(/`((?:src|native|scripts|test|models|bench)\/[\w./-]*)`/g)];
  const paths = [...links, ...named.map(([, path]) => path!)];
  expect(paths.length).toBeGreaterThan(5);
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

describeNative("the example of the README", () => {
  test("runs as it stands", async () => {
    const text = readFileSync(join(root, "README.md"), "utf8");
    const [, code] = /```js\n([^`]+)```/.exec(text)!;
    expect(code!.split("\n").filter((line) => line !== "").length).toBeLessThanOrEqual(10);
    const args = ["--input-type=module", "--eval", code!];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect(stdout).toMatch(/12.* \d+\n.+/);
  });
});
