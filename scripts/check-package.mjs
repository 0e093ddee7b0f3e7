// Checks the tarballs of npm run pack:all: their sizes, that installing them runs nothing, and that
// Node and TypeScript can read the package as an ES module and through require.
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { BuildError, main, root, run, say } from "./native/tools.mjs";

const folder = join(root, ".cache", "packages");

/** In bytes; whoever installs downloads them. */
const budgets = [
  [/^mlx-llm-client-darwin-/, 60e6],
  [/^mlx-llm-client-linux-/, 15e6],
  [/^mlx-llm-client-\d/, 4e6],
];

main(() => {
  const files = readdirSync(folder).filter((file) => file.endsWith(".tgz"));
  for (const file of files) {
    checkSize(file);
    checkScripts(file);
  }
  const tarball = join(
    folder,
    files.find((file) => /^mlx-llm-client-\d/.test(file)),
  );
  const tool = (path) => join(root, "node_modules", path);
  run(process.execPath, [tool("publint/src/cli.js"), "run", tarball, "--strict"], {
    purpose: "publint",
  });
  // Without "exports", which came with Node 12, nobody finds the entry of the server.
  const options = ["--profile", "node16", "--no-emoji"];
  run(process.execPath, [tool("@arethetypeswrong/cli/dist/index.js"), tarball, ...options], {
    purpose: "attw",
  });
});

function checkSize(file) {
  const [, budget] = budgets.find(([pattern]) => pattern.test(file));
  const { size } = statSync(join(folder, file));
  const found = `${file}: ${(size / 1e6).toFixed(1)} MB of ${budget / 1e6} MB`;
  if (size > budget) throw new BuildError(`${found}: too large`);
  say(found);
}

/** Package managers do not run them, or ask first. */
function checkScripts(file) {
  const text = run("tar", ["-xzOf", join(folder, file), "package/package.json"]);
  const { scripts } = JSON.parse(text);
  if (scripts) throw new BuildError(`${file} has scripts: ${Object.keys(scripts).join(", ")}`);
}
