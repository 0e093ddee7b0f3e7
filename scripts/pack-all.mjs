// Makes the tarballs that are published, in .cache/packages/: the package, which is JavaScript alone, and
// one for each platform whose addon lies in prebuilds/. Needs npm run build, and npm run prebuild.
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { platforms } from "./native/platforms.mjs";
import { BuildError, main, root, run, say } from "./native/tools.mjs";

const out = join(root, ".cache", "packages");
const { scripts, devDependencies, overrides, binary, ...published } = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
);
const { name, version, author, engines } = published;

const systems = {
  darwin: { title: "macOS", licences: "MIT AND Apache-2.0" },
  linux: {
    title: "Linux",
    libc: ["glibc"],
    licences:
      "MIT AND Apache-2.0 AND BSD-3-Clause AND LGPL-2.1-or-later AND GPL-3.0-or-later WITH GCC-exception-3.1",
  },
};

main(() => {
  if (!existsSync(join(root, "dist"))) throw new BuildError("dist/ is missing: npm run build");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), "pack-"));
  try {
    const built = platforms.filter((platform) => existsSync(join(root, "prebuilds", platform)));
    for (const platform of built) packPlatform(platform, join(folder, platform));
    packMain(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Named so that node-gyp-build finds the addon in it as it would in a checkout. */
function packPlatform(platform, folder) {
  const [os, cpu] = platform.split("-");
  const { title, libc, licences } = systems[os];
  mkdirSync(folder);
  cpSync(join(root, "prebuilds", platform), join(folder, "prebuilds", platform), {
    recursive: true,
  });
  cpSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  const description = `MLX for ${name} on ${title}, ${cpu}`;
  const more = `${description}: it is installed along with that package, and of no use without it.`;
  writeFileSync(
    join(folder, "README.md"),
    `# ${scoped(platform)}\n\n${more} The licences of the libraries are beside them.\n`,
  );
  pack(folder, {
    name: scoped(platform),
    version,
    description,
    // Of all that is in it; its own part is MIT.
    license: `(${licences})`,
    author,
    engines,
    os: [os],
    cpu: [cpu],
    libc,
    files: ["prebuilds"],
  });
}

/**
 * The package asks for those of the platforms only in its published form: a lockfile cannot name
 * what is not published yet, and `npm ci` refuses one that leaves something out.
 */
function packMain(folder) {
  run("npm", ["pack", "--silent", "--pack-destination", folder]);
  run("tar", ["-xzf", join(folder, `${name}-${version}.tgz`), "-C", folder]);
  const optionalDependencies = Object.fromEntries(
    platforms.map((platform) => [scoped(platform), version]),
  );
  pack(join(folder, "package"), { ...published, optionalDependencies });
}

function pack(folder, description) {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(description, undefined, 2)}\n`);
  const [{ filename }] = JSON.parse(
    run("npm", ["pack", folder, "--json", "--pack-destination", out]),
  );
  const file = filename.replace("@", "").replace("/", "-");
  if (file !== filename) renameSync(join(out, filename), join(out, file));
  say(`packages: ${file}`);
}

function scoped(platform) {
  return `@${name}/${platform}`;
}
