// Writes prebuilds/<platform>-<arch>/: the addon, libmlx and what it loads, and their licences.
// That folder works on other machines, wherever it is moved to.
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { licenceFolder, prepareDependencies } from "./native/dependencies.mjs";
import { main, root, run, say } from "./native/tools.mjs";

main(() => {
  const folder = join("prebuilds", `${process.platform}-${process.arch}`);
  const artifacts = join(root, ".cache", "native", "artifacts");
  const { runtimeFiles } = prepareDependencies({ bundled: true });
  for (const path of [artifacts, join(root, folder)])
    rmSync(path, { recursive: true, force: true });
  cpSync(licenceFolder, artifacts, { recursive: true });
  // prebuildify copies only some libraries by itself, and strips them, which breaks their signature
  // on macOS; these untouched ones replace them.
  for (const file of runtimeFiles) cpSync(file, join(artifacts, file.split("/").at(-1)));

  say("prebuild: building and packing");
  const prebuildify = join(root, "node_modules", "prebuildify", "bin.js");
  const options = ["--napi", "--strip", "-t", "20.0.0", "--artifacts", artifacts];
  run(
    process.execPath,
    [prebuildify, ...options, "--node-gyp", join(root, "scripts", "gyp-shim")],
    {
      purpose: "Packing the addon",
    },
  );
  say(`prebuild: ${folder} is ready`);
});
