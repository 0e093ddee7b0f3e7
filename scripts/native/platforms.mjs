// What each platform takes from MLX's wheels. Pure functions, so they are tested on any machine.

export const MLX_VERSION = "0.32.2";

const wheels = {
  "darwin-arm64": { package: "mlx-metal", pipPlatform: "macosx_14_0_arm64" },
  "linux-x64": { package: "mlx-cpu", pipPlatform: "manylinux_2_35_x86_64" },
  "linux-arm64": { package: "mlx-cpu", pipPlatform: "manylinux_2_35_aarch64" },
};

/** Every platform that the addon is built for, for example "darwin-arm64". */
export const platforms = Object.keys(wheels);

/** The wheel for a platform, or undefined where MLX publishes none that this addon is built on. */
export function wheelFor(platform, arch) {
  return wheels[`${platform}-${arch}`];
}

/**
 * Of the files of an unpacked wheel (relative paths with "/"), those that must lie beside the addon.
 * libjaccl.dylib stays behind: libmlx.dylib does not load it.
 */
export function runtimeFiles(platform, files) {
  const wanted =
    platform === "darwin"
      ? /^mlx\/lib\/(libmlx\.dylib|mlx\.metallib)$/
      : /^(mlx\/lib\/libmlx\.so|mlx_cpu\.libs\/.+\.so[.0-9]*)$/;
  return files.filter((file) => wanted.test(file)).sort();
}

/** Why this machine cannot build on MLX's wheels, or undefined if it can. */
export function unsupportedReason({ platform, arch, glibc, macos }) {
  if (!wheelFor(platform, arch)) {
    return `MLX has no wheel for ${platform}-${arch}: the addon is built on ${Object.keys(wheels).join(", ")}`;
  }
  if (platform === "linux" && (!glibc || olderThan(glibc, "2.35"))) {
    const found = glibc ? `glibc ${glibc}` : "another C library";
    return `MLX's Linux wheel needs glibc 2.35 (Debian 12, Ubuntu 22.04) or later; here is ${found}`;
  }
  if (platform === "darwin" && macos && olderThan(macos, "14.0")) {
    return `MLX's Metal kernels need macOS 14 or later; here is ${macos}`;
  }
  return undefined;
}

function olderThan(version, wanted) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor, wantedMinor] = wanted.split(".").map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
}
