import { runtimeFiles, unsupportedReason, wheelFor } from "../../scripts/native/platforms.mjs";

describe("the wheel of MLX", () => {
  test.each([
    ["darwin", "arm64", "mlx-metal", "macosx_14_0_arm64"],
    ["linux", "x64", "mlx-cpu", "manylinux_2_35_x86_64"],
    ["linux", "arm64", "mlx-cpu", "manylinux_2_35_aarch64"],
  ])("for %s-%s is %s made for %s", (platform, arch, name, pipPlatform) => {
    expect(wheelFor(platform, arch)).toEqual({ package: name, pipPlatform });
  });

  test.each([
    ["win32", "x64"],
    ["darwin", "x64"],
    ["linux", "riscv64"],
  ])("does not exist for %s-%s", (platform, arch) => {
    expect(wheelFor(platform, arch)).toBeUndefined();
  });
});

describe("the files beside the addon", () => {
  test("are libmlx and its Metal kernels on macOS", () => {
    const wheel = [
      "mlx/lib/libjaccl.dylib",
      "mlx/lib/libmlx.dylib",
      "mlx/lib/mlx.metallib",
      "mlx/share/cmake/MLX/MLXConfig.cmake",
      "mlx/include/mlx/mlx.h",
    ];
    expect(runtimeFiles("darwin", wheel)).toEqual(["mlx/lib/libmlx.dylib", "mlx/lib/mlx.metallib"]);
  });

  test("are libmlx and the numeric libraries it was linked with on Linux", () => {
    const wheel = [
      "mlx/lib/libmlx.so",
      "mlx/include/mlx/mlx.h",
      "mlx_cpu.libs",
      "mlx_cpu.libs/libblas-87cf96dc.so.3.10.0",
      "mlx_cpu.libs/libgfortran-fecb827f.so.5.0.0",
      "mlx_cpu-0.32.2.dist-info/RECORD",
    ];
    expect(runtimeFiles("linux", wheel)).toEqual([
      "mlx/lib/libmlx.so",
      "mlx_cpu.libs/libblas-87cf96dc.so.3.10.0",
      "mlx_cpu.libs/libgfortran-fecb827f.so.5.0.0",
    ]);
  });
});

describe("a machine", () => {
  const linux = { platform: "linux", arch: "x64", macos: undefined };
  const mac = { platform: "darwin", arch: "arm64", glibc: undefined };

  test.each([
    { ...linux, glibc: "2.35" },
    { ...linux, glibc: "2.41" },
    { ...mac, macos: "14.0" },
    { ...mac, macos: "26.1" },
  ])("is good enough with $platform, glibc $glibc, macOS $macos", (machine) => {
    expect(unsupportedReason(machine)).toBeUndefined();
  });

  test.each([
    [
      { ...linux, glibc: "2.31" },
      "needs glibc 2.35 (Debian 12, Ubuntu 22.04) or later; here is glibc 2.31",
    ],
    [{ ...linux, glibc: undefined }, "here is another C library"],
    [{ ...mac, macos: "13.6.1" }, "need macOS 14 or later; here is 13.6.1"],
    [{ ...mac, arch: "x64", macos: "14.0" }, "MLX has no wheel for darwin-x64"],
  ])("is refused with the reason: %o", (machine, reason) => {
    expect(unsupportedReason(machine)).toContain(reason);
  });
});
