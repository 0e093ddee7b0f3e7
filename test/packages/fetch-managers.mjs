// Installs pnpm and Bun into .cache/package-managers/, for the tests; some seconds.
//   --optional   what is missing is told, and is no failure
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "../../scripts/native/tools.mjs";
import { optionalBuild } from "../servers/optional-build.mjs";
import { packageManagers } from "../servers/places.mjs";

const pinned = join(root, "test", "packages", "managers");

optionalBuild("pnpm and Bun", packageManagers, () => {
  const { folder, stamp } = packageManagers;
  const wanted = readFileSync(join(pinned, "package-lock.json"), "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  rmSync(stamp, { force: true });
  cpSync(pinned, folder, { recursive: true });
  const npm = ["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"];
  run("npm", [...npm, "--prefix", folder], { purpose: "Installing pnpm and Bun" });
  writeFileSync(stamp, wanted);
});
