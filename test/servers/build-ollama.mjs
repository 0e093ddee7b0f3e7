// Builds a genuine Ollama into .cache/ollama/, for the tests; about four minutes on two cores.
//   --optional   what is missing is told, and is no failure
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BuildError, run, say, works } from "../../scripts/native/tools.mjs";
import { optionalBuild } from "./optional-build.mjs";
import { OLLAMA_VERSION, ollama } from "./places.mjs";

const MODULE = "github.com/ollama/ollama";
const include = join(ollama.folder, "include");
const scratch = join(ollama.folder, "scratch");

/** The headers that Ollama's C++ parts include and its module does not carry. */
const headers = [
  { file: "nlohmann/json.hpp", fetch: () => fetchWithApt("nlohmann-json3-dev", "nlohmann") },
  { file: "stb/stb_image.h", fetch: () => fetchWithApt("libstb-dev", "stb") },
  { file: "miniaudio/miniaudio.h", fetch: fetchMiniaudio },
];

optionalBuild("a genuine Ollama", ollama, () => {
  if (existsSync(ollama.program)) return;
  if (!works("go", ["version"])) throw new BuildError("go is missing; Debian: golang, macOS: go");
  if (!works("c++", ["--version"])) throw new BuildError("a C++ compiler is missing");
  for (const { file, fetch } of headers) if (!compilerFinds(file)) fetch();
  rmSync(scratch, { recursive: true, force: true });
  compile();
});

/** The compiler may have a header already; then it is not fetched. */
function compilerFinds(file) {
  return works("env", [cpath(), "c++", "-E", "-x", "c++", "-include", file, "/dev/null"]);
}

/**
 * The include path as the compiler reads it. Go does not know of it, so that objects which it
 * compiled for another checkout are used again.
 */
function cpath() {
  return `CPATH=${[include, process.env.CPATH].filter(Boolean).join(":")}`;
}

function compile() {
  say(`Ollama: building ${OLLAMA_VERSION} (about four minutes)`);
  const bin = join(ollama.folder, "bin");
  const flags = `-s -w -X=${MODULE}/version.Version=${OLLAMA_VERSION}`;
  const install = ["go", "install", "-ldflags", flags, `${MODULE}@v${OLLAMA_VERSION}`];
  run("nice", ["env", cpath(), `GOBIN=${bin}`, "CGO_ENABLED=1", ...install], {
    purpose: "Building Ollama",
  });
  // Last, so that a program of this name is always whole.
  renameSync(join(bin, "ollama"), ollama.program);
  rmSync(bin, { recursive: true });
}

/** Unpacks a package's headers without installing it; apt verifies what it fetched. */
function fetchWithApt(name, folder) {
  if (!works("apt-get", ["--version"])) {
    throw new BuildError(
      `the headers of ${name} are missing, and there is no apt-get to fetch them`,
    );
  }
  say(`Ollama: fetching the headers of ${name}`);
  const download = empty(join(scratch, "apt"));
  const get = ["-C", download, "apt-get", ...aptOptions()];
  // Lists of its own, and so no root; the machine's own may be missing or out of date.
  if (!works("env", [...get, "download", name])) {
    run("env", [...get, "update"], { purpose: `Fetching the list for ${name}` });
    run("env", [...get, "download", name], { purpose: `Fetching ${name}` });
  }
  const unpacked = empty(join(scratch, "unpacked"));
  const [file] = readdirSync(download);
  run("dpkg", ["-x", join(download, file), unpacked], { purpose: `Unpacking ${name}` });
  cpSync(join(unpacked, "usr", "include", folder), join(include, folder), { recursive: true });
}

function aptOptions() {
  const [lists, cache] = [join(scratch, "lists"), join(scratch, "cache")];
  mkdirSync(join(lists, "partial"), { recursive: true });
  mkdirSync(join(cache, "archives", "partial"), { recursive: true });
  const options = [`Dir::State::Lists=${lists}`, `Dir::Cache=${cache}`, "APT::Sandbox::User="];
  return ["-q", ...options.flatMap((option) => ["-o", option])];
}

/** Takes the header out of a source package; pip verifies its checksum. */
function fetchMiniaudio() {
  if (!works("python3", ["-m", "pip", "--version"])) {
    throw new BuildError("python3 with pip is missing; it is needed to fetch miniaudio.h");
  }
  say("Ollama: fetching miniaudio.h");
  const download = empty(join(scratch, "miniaudio"));
  const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"];
  const pinned = ["--require-hashes", "--requirement", "test/servers/requirements-ollama.txt"];
  run("python3", [...pip, ...pinned, "--dest", download], { purpose: "Fetching miniaudio" });
  const [file] = readdirSync(download);
  const unpacked = empty(join(scratch, "unpacked"));
  run("tar", ["-xzf", join(download, file), "-C", unpacked, "--strip-components", "1"]);
  cpSync(join(unpacked, "miniaudio"), join(include, "miniaudio"), { recursive: true });
}

function empty(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}
