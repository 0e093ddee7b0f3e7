import { libraryProblem, machineProblem } from "../../src/mlx/machine.js";

const mac = { platform: "darwin", arch: "arm64", release: "23.0.0", translated: false };

describe("a machine", () => {
  test.each([
    mac,
    { ...mac, release: "25.1.0" },
    { ...mac, platform: "linux", release: "5.10.0" },
    { ...mac, platform: "linux", arch: "x64", release: "6.1.0" },
  ])("can run MLX with $platform-$arch $release", (machine) => {
    expect(machineProblem(machine)).toBeUndefined();
  });

  test("is told to install Node for arm64 under Rosetta", () => {
    const problem = machineProblem({ ...mac, arch: "x64", translated: true });
    expect(problem?.reason).toBe("rosetta");
    expect(problem?.hint).toContain("Install Node for arm64");
  });

  test("is told that its macOS is too old", () => {
    const problem = machineProblem({ ...mac, release: "22.6.0" });
    expect(problem?.reason).toBe("macos-too-old");
    expect(problem?.message).toBe("MLX needs macOS 14 or later");
  });

  test.each([
    ["win32", "x64"],
    ["darwin", "x64"],
    ["linux", "ia32"],
  ])("is told where MLX runs with %s-%s", (platform, arch) => {
    const problem = machineProblem({ ...mac, platform, arch });
    expect(problem?.reason).toBe("unsupported-platform");
    expect(problem?.message).toBe(
      `MLX does not run on ${platform}-${arch}, only on darwin-arm64, linux-x64, linux-arm64`,
    );
    expect(problem?.hint).toContain("Apple silicon Macs and on Linux");
  });
});

describe("a C library", () => {
  test.each([{ glibc: "2.35" }, { glibc: "2.41" }, { glibc: "3.0" }, {}])(
    "that is %j runs MLX, as far as one can tell",
    (library) => {
      expect(libraryProblem({ musl: false, ...library })).toBeUndefined();
    },
  );

  test.each([
    [{ musl: true }, "here is musl"],
    [{ musl: false, glibc: "2.31" }, "here is glibc 2.31"],
  ])("%j does not: what is needed and where it is found is told", (library, here) => {
    expect(libraryProblem(library)).toEqual({
      reason: "libc",
      message: `MLX needs glibc 2.35 or later; ${here}`,
      hint: expect.stringContaining("Use Debian 12, Ubuntu 22.04 or later"),
    });
  });
});
