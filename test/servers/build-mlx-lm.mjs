// Installs mlx_lm.server into .cache/mlx-lm/, for the tests; about a minute.
//   --optional   what is missing is told, and is no failure
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BuildError, root, run, say, works } from "../../scripts/native/tools.mjs";
import { optionalBuild } from "./optional-build.mjs";
import { mlxLm } from "./places.mjs";

const requirements = join(root, "test", "servers", "requirements-mlx-lm.txt");

optionalBuild("a genuine mlx_lm.server", mlxLm, () => {
  const wanted = readFileSync(requirements, "utf8");
  if (existsSync(mlxLm.stamp) && readFileSync(mlxLm.stamp, "utf8") === wanted) return;
  rmSync(mlxLm.stamp, { force: true });
  const newEnough = "import sys; sys.exit(sys.version_info < (3, 11))";
  if (!works("python3", ["-c", newEnough])) {
    throw new BuildError("python3 is missing or older than 3.11, which mlx-lm needs");
  }
  const venv = join(mlxLm.folder, "venv");
  rmSync(venv, { recursive: true, force: true });
  if (!works("python3", ["-m", "venv", venv])) {
    throw new BuildError("python3 cannot make a virtual environment; Debian: python3-venv");
  }
  say("mlx_lm.server: installing (about a minute)");
  const pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"];
  run(mlxLm.program, [...pip, "--requirement", requirements], { purpose: "Installing mlx-lm" });
  writeFileSync(mlxLm.stamp, wanted);
});
