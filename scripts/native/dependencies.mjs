// Fetches MLX and mlx-c into .cache/native/ and tells CMake where they are.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, sep } from "node:path";
import { buildLlguidance, LLGUIDANCE_VERSION } from "./llguidance.mjs";
import { MLX_VERSION, runtimeFiles, unsupportedReason, wheelFor } from "./platforms.mjs";
import { BuildError, missingTool, probe, root, run, say, works } from "./tools.mjs";

const cache = join(root, ".cache", "native");
const here = join(root, "scripts", "native");
const dependenciesFile = join(cache, "dependencies.cmake");
const MLX_C_VERSION = "0.6.0";

/** What is built, and with which options of CMake; scripts/check-macos.mjs has another one. */
const thisGoal = { platform: process.platform, arch: process.arch, cache, options: [] };

/** Where prebuildify takes the licences from that travel with the binaries. */
export const licenceFolder = join(cache, "licences");

/**
 * Makes .cache/native/dependencies.cmake. With `bundled` an installed mlx-c is left aside, so that
 * the result can be given to other machines. Returns the files that must lie beside the
 * addon, and whether an installed mlx-c is used.
 */
export function prepareDependencies({ bundled }) {
  const source = process.env.MLX_C_SOURCE;
  const kind = source ? `sources in ${source}` : bundled ? "bundled" : "installed or bundled";
  const cargo = works("cargo", ["--version"]) ? "with cargo" : "without cargo";
  const versions = `MLX ${MLX_VERSION}, mlx-c ${MLX_C_VERSION}, llguidance ${LLGUIDANCE_VERSION}`;
  const heading = `# For ${root}: ${versions}, ${kind}, ${cargo}`;
  const earlier = earlierAnswer(heading);
  if (earlier) return earlier;

  if (!works("cmake", ["--version"])) throw missingTool("cmake", "to build the addon");
  if (!compilerFound()) throw missingTool("a C++ compiler", "to build the addon");
  const llguidance = buildLlguidance(cache, licenceFolder);
  const installed = bundled || source ? undefined : findInstalled();
  if (installed) {
    say(`mlx-c: installed, ${installed.mlxC}`);
    return writeDependencies(heading, { ...installed, llguidance, runtimeFiles: [] });
  }
  const reason = unsupportedReason(thisMachine());
  if (reason) throw new BuildError(reason);
  const mlx = fetchMlx(thisGoal);
  const mlxC = buildMlxC(mlx.cmakeFolder, thisGoal, source);
  const { cmakeFolder, runtimeFiles } = mlx;
  return writeDependencies(heading, { mlx: cmakeFolder, mlxC, llguidance, runtimeFiles });
}

/** What an earlier run found for the same question, if all of it is still there. */
function earlierAnswer(heading) {
  if (!existsSync(dependenciesFile)) return undefined;
  const text = readFileSync(dependenciesFile, "utf8");
  const paths = [...text.matchAll(/"(.+?)"/g)].map((match) => match[1]);
  if (!text.startsWith(`${heading}\n`) || !paths.every((path) => existsSync(path)))
    return undefined;
  const files = text.match(/MLX_RUNTIME_FILES (.*)\)/)[1];
  return answer([...files.matchAll(/"(.+?)"/g)].map((match) => match[1]));
}

function compilerFound() {
  const compilers = process.env.CXX ? [process.env.CXX] : ["c++", "g++", "clang++"];
  const found = (names) => names.some((name) => works(name, ["--version"]));
  return found(compilers) && found(["ninja", "make"]);
}

/** The CMake folders of an installed MLX and mlx-c: Homebrew's, or in CMAKE_PREFIX_PATH. */
function findInstalled() {
  const build = join(cache, "find-installed");
  rmSync(build, { recursive: true, force: true });
  const output = probe("cmake", ["-S", join(here, "find-installed"), "-B", build]) ?? "";
  const folder = (name) => output.match(new RegExp(`^-- ${name}=(.*)$`, "m"))?.[1];
  const found = { mlx: folder("MLX_DIR"), mlxC: folder("MLXC_DIR") };
  const complete = Object.values(found).every((path) => path && !path.endsWith("NOTFOUND"));
  return complete ? found : undefined;
}

/** Fetches the pinned wheel with pip, which verifies its checksum, and unpacks it. */
export function fetchMlx({ platform, arch, cache }) {
  const wheel = wheelFor(platform, arch);
  const folder = join(cache, `mlx-${MLX_VERSION}-${platform}-${arch}`);

  if (!existsSync(folder)) {
    if (!works("python3", ["-m", "pip", "--version"])) {
      throw missingTool("python3 with pip", `to fetch ${wheel.package} ${MLX_VERSION}`);
    }
    say(`MLX: fetching ${wheel.package} ${MLX_VERSION} with pip`);
    const download = join(cache, "download");
    const unpacked = join(cache, "unpacked");
    for (const path of [download, unpacked]) rmSync(path, { recursive: true, force: true });
    const requirements = join(here, `requirements-mlx-${platform}.txt`);
    const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"];
    pip.push("--require-hashes", "--platform", wheel.pipPlatform, "--dest", download);
    run("python3", [...pip, "--requirement", requirements], { purpose: "Fetching MLX" });
    const [file] = readdirSync(download);
    run("python3", ["-m", "zipfile", "--extract", join(download, file), unpacked]);
    // Last, so that a folder of this name is always whole.
    renameSync(unpacked, folder);
    rmSync(download, { recursive: true });
  }

  const files = readdirSync(folder, { recursive: true }).map((file) => file.split(sep).join("/"));
  const find = (pattern) => files.find((file) => pattern.test(file));
  copyLicence(join(folder, find(/dist-info\/licenses\/LICENSE$/)), "mlx");
  // Only the wheel of Linux brings libraries of others, and says which.
  const sbom = find(/dist-info\/sboms\/.+\.json$/);
  if (sbom) {
    cpSync(join(folder, sbom), join(licenceFolder, "sbom-mlx.cdx.json"));
    cpSync(join(here, "licences"), licenceFolder, { recursive: true });
  }
  return {
    cmakeFolder: join(folder, "mlx", "share", "cmake", "MLX"),
    runtimeFiles: runtimeFiles(platform, files).map((file) => join(folder, file)),
  };
}

function thisMachine() {
  const { platform, arch } = process;
  const glibc = process.report.getReport().header.glibcVersionRuntime;
  const macos = platform === "darwin" ? probe("sw_vers", ["-productVersion"])?.trim() : undefined;
  return { platform, arch, glibc, macos };
}

/** Builds mlx-c as a static library on the fetched MLX; returns its CMake folder. */
export function buildMlxC(mlxFolder, goal, givenSource) {
  const { platform, arch, cache } = goal;
  const version = givenSource ? "given" : MLX_C_VERSION;
  const prefix = join(cache, `mlx-c-${version}-${platform}-${arch}`);
  const cmakeFolder = join(prefix, "share", "cmake", "MLXC");
  if (existsSync(prefix) && !givenSource) return cmakeFolder;
  const source = givenSource ?? mlxCSourceFromCargo();
  if (!existsSync(join(source, "mlx", "c", "mlx.h"))) {
    throw new BuildError(`${source} does not hold mlx-c: it has no mlx/c/mlx.h`);
  }
  say(`mlx-c: building ${givenSource ?? MLX_C_VERSION} (about a minute)`);
  const build = join(cache, "mlx-c-build");
  const unfinished = join(cache, "mlx-c-unfinished");
  for (const path of [build, unfinished, prefix]) rmSync(path, { recursive: true, force: true });
  const options = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DMLX_C_USE_SYSTEM_MLX=ON",
    "-DMLX_C_BUILD_EXAMPLES=OFF",
    "-DCMAKE_CXX_VISIBILITY_PRESET=hidden",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_OSX_DEPLOYMENT_TARGET=14.0",
    "-Wno-dev",
    `-DMLX_DIR=${mlxFolder}`,
    `-DCMAKE_INSTALL_PREFIX=${unfinished}`,
    ...goal.options,
  ];
  const purpose = "Building mlx-c";
  run("cmake", ["-S", source, "-B", build, ...options], { purpose });
  run("cmake", ["--build", build, "--parallel", "2"], { purpose });
  run("cmake", ["--install", build], { purpose });
  copyLicence(join(source, "LICENSE"), "mlx-c");
  renameSync(unfinished, prefix);
  rmSync(build, { recursive: true });
  return cmakeFolder;
}

/** The Rust crate mlx-sys carries mlx-c's sources; cargo verifies the checksum in Cargo.lock. */
function mlxCSourceFromCargo() {
  if (!works("cargo", ["--version"])) {
    const advice = missingTool("cargo", "to fetch the sources of mlx-c").message;
    throw new BuildError(
      `${advice}\n  Or set MLX_C_SOURCE to a folder with mlx-c ${MLX_C_VERSION}.`,
    );
  }
  say(`mlx-c: fetching the sources of ${MLX_C_VERSION} with cargo`);
  const manifest = ["--locked", "--manifest-path", join(here, "mlx-c-source", "Cargo.toml")];
  run("cargo", ["fetch", "--quiet", ...manifest], { purpose: "Fetching mlx-c" });
  const metadata = run("cargo", ["metadata", "--offline", "--format-version", "1", ...manifest]);
  const crate = JSON.parse(metadata).packages.find((candidate) => candidate.name === "mlx-sys");
  return join(dirname(crate.manifest_path), "src", "mlx-c");
}

function copyLicence(file, name) {
  mkdirSync(licenceFolder, { recursive: true });
  cpSync(file, join(licenceFolder, `LICENSE-${name}.txt`));
}

function writeDependencies(heading, found) {
  mkdirSync(cache, { recursive: true });
  writeFileSync(dependenciesFile, `${heading}\n${describeDependencies(found)}`);
  return answer(found.runtimeFiles);
}

/** What CMakeLists.txt includes. */
export function describeDependencies({ mlx, mlxC, llguidance, runtimeFiles }) {
  const lines = [
    `set(MLX_DIR "${mlx}")`,
    `set(MLXC_DIR "${mlxC}")`,
    `set(MLX_RUNTIME_FILES ${runtimeFiles.map((file) => `"${file}"`).join(" ")})`,
    `set(LLGUIDANCE_LIBRARY ${llguidance ? `"${llguidance.library}"` : ""})`,
    `set(LLGUIDANCE_HEADERS ${llguidance ? `"${llguidance.headers}"` : ""})`,
    `set(LLGUIDANCE_VERSION ${LLGUIDANCE_VERSION})`,
  ];
  return `${lines.join("\n")}\n`;
}

/** An installed MLX is found by its path, so nothing has to lie beside the addon. */
function answer(runtimeFiles) {
  return { runtimeFiles, installed: runtimeFiles.length === 0 };
}
