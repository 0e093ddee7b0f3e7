// Packs the package as npm would publish it, and checks that Node and TypeScript can read it as an
// ES module and through require.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main, root, run } from "./native/tools.mjs";

main(() => {
  const folder = mkdtempSync(join(tmpdir(), "package-"));
  try {
    run("npm", ["pack", "--silent", "--pack-destination", folder]);
    const { name, version } = JSON.parse(run("npm", ["pkg", "get", "name", "version"]));
    const tarball = join(folder, `${name}-${version}.tgz`);
    const tool = (path) => join(root, "node_modules", path);
    run(process.execPath, [tool("publint/src/cli.js"), "run", tarball, "--strict"], {
      purpose: "publint",
    });
    // Without "exports", which came with Node 12, nobody finds the entry of the server.
    const options = ["--profile", "node16", "--no-emoji"];
    run(process.execPath, [tool("@arethetypeswrong/cli/dist/index.js"), tarball, ...options], {
      purpose: "attw",
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
