import { describeMachine, systemName } from "../../src/diagnosis/machine-report.js";

const darwin = { platform: "darwin", release: "24.3.0", version: "Darwin Kernel Version 24.3.0" };
const linux = { platform: "linux", release: "6.1.0", version: "#1 SMP" };

test.each([
  ["macOS 15.3.1", { ...darwin, macos: "15.3.1" }],
  ["macOS (Darwin 24.3.0)", darwin],
  [
    "Windows 11 Pro (10.0.22631)",
    { platform: "win32", release: "10.0.22631", version: "Windows 11 Pro" },
  ],
  [
    "Debian GNU/Linux 12 (bookworm)",
    { ...linux, osRelease: 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n' },
  ],
  ["Alpine Linux v3.22", { ...linux, osRelease: "ID=alpine\nPRETTY_NAME='Alpine Linux v3.22'\n" }],
  ["Arch", { ...linux, osRelease: "PRETTY_NAME=Arch\n" }],
  ["linux 6.1.0", linux],
])("a system is called %s", (name, facts) => {
  expect(systemName(facts)).toBe(name);
});

test("this machine has a platform, cores and memory", () => {
  const machine = describeMachine();
  expect(machine).toMatchObject({
    platform: `${process.platform}-${process.arch}`,
    node: process.versions.node,
    rosetta: false,
  });
  expect(machine.cores).toBeGreaterThan(0);
  expect(machine.memory).toBeGreaterThan(2 ** 20);
  if (process.platform === "linux") expect(machine.libc).toMatch(/^(glibc \d+\.\d+|musl)$/);
});
