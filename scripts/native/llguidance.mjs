// Builds llguidance, which keeps replies within a grammar, as a static library.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { root, run, say, works } from "./tools.mjs";

export const LLGUIDANCE_VERSION = "1.9.1";

const crate = join(root, "native", "grammar");
const thisGoal = { platform: process.platform, arch: process.arch };
const manifest = ["--locked", "--manifest-path", join(crate, "Cargo.toml")];

/**
 * Returns the library and the folder of its header; undefined without cargo, and the addon then
 * says so where a grammar is asked for. Its licences are put into a folder. It is for this machine,
 * unless another goal has a target of Rust, with what cargo needs for it.
 */
export function buildLlguidance(cache, licenceFolder, goal = thisGoal) {
  if (!works("cargo", ["--version"])) {
    say("llguidance: left out, because cargo is missing; replies then cannot be kept to a schema");
    return undefined;
  }
  const lock = readFileSync(join(crate, "Cargo.lock"), "utf8");
  const folder = join(cache, `llguidance-${LLGUIDANCE_VERSION}-${goal.platform}-${goal.arch}`);
  const library = join(folder, "libgrammar.a");
  const stamp = join(folder, "Cargo.lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) {
    return { library, headers: folder };
  }
  say(`llguidance: building ${LLGUIDANCE_VERSION} with cargo (about a minute)`);
  const built = join(cache, "llguidance-build");
  const target = goal.target ? ["--target", goal.target] : [];
  const options = ["--release", "--quiet", "--target-dir", built, ...target, ...manifest];
  run("cargo", ["build", ...options], {
    purpose: "Building llguidance",
    // No path of the building machine gets into the binary.
    env: { ...process.env, RUSTFLAGS: `--remap-path-prefix=${cargoHome()}=cargo`, ...goal.env },
  });
  const packages = linkedPackages();
  const { manifest_path } = packages.find(({ name }) => name === "llguidance");
  mkdirSync(folder, { recursive: true });
  cpSync(join(built, goal.target ?? "", "release", "libgrammar.a"), library);
  cpSync(join(dirname(manifest_path), "llguidance.h"), join(folder, "llguidance.h"));
  mkdirSync(licenceFolder, { recursive: true });
  writeFileSync(join(licenceFolder, "LICENSE-llguidance.txt"), licencesOf(packages));
  writeFileSync(stamp, lock);
  return { library, headers: folder };
}

function cargoHome() {
  return process.env.CARGO_HOME ?? join(homedir(), ".cargo");
}

/** The crates of which something is in the library: not those that only run while it is built. */
function linkedPackages() {
  const format = ["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
  const lines = run("cargo", [...format, ...manifest]).split("\n");
  const linked = new Set(lines.map((line) => line.split(" ").slice(0, 2).join(" ")));
  const metadata = run("cargo", ["metadata", "--offline", "--format-version", "1", ...manifest]);
  return JSON.parse(metadata).packages.filter(({ name, version }) =>
    linked.has(`${name} v${version}`),
  );
}

function licencesOf(packages) {
  const others = packages.filter(({ source }) => source !== null);
  const texts = others.map(({ name, version, license, manifest_path }) => {
    const folder = dirname(manifest_path);
    const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying)/i.test(file));
    const all = files.sort().map((file) => readFileSync(join(folder, file), "utf8"));
    return [`${name} ${version} (${license})`, ...all].join("\n\n");
  });
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}
