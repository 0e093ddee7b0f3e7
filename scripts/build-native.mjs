// Builds the addon into build/Release/. Run again, it only does what is missing.
//   --bundled   leave an installed mlx-c aside, so that the result runs on other machines too
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { prepareDependencies } from "./native/dependencies.mjs";
import { BuildError, main, root, run, say } from "./native/tools.mjs";

main(() => {
  if (!existsSync(join(root, "node_modules", "cmake-js"))) {
    throw new BuildError("The npm packages are missing: npm ci");
  }
  const { installed } = prepareDependencies({ bundled: process.argv.includes("--bundled") });
  forgetForeignBuild();
  say("addon: building what has changed");
  const cmakeJs = join(root, "node_modules", "cmake-js", "bin", "cmake-js");
  const parallel = String(Math.min(availableParallelism(), 8));
  run(process.execPath, [cmakeJs, "build", "--parallel", parallel], {
    purpose: installed
      ? "Building the addon on the installed mlx-c (npm run build:native -- --bundled leaves it aside)"
      : "Building the addon",
  });
  say("addon: build/Release/mlx-llm-client.node is ready");
});

/** A build folder that was moved, or made for another machine or with other headers, is of no use. */
function forgetForeignBuild() {
  const versions = ["cmake-js", "node-addon-api", "node-api-headers"].map((name) => {
    const file = join(root, "node_modules", name, "package.json");
    return `${name} ${JSON.parse(readFileSync(file, "utf8")).version}`;
  });
  const made = [root, process.platform, process.arch, ...versions].join("\n");
  const folder = join(root, "build");
  const stamp = join(folder, "made-with.txt");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === made) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(stamp, made);
}
