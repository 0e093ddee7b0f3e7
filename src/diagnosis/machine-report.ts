import { readFileSync } from "node:fs";
import { cpus, release, totalmem, version } from "node:os";
import { thisLibrary, thisMachine } from "../mlx/machine.js";

/** The machine and the Node that this runs on. */
export interface MachineReport {
  /** For example "darwin-arm64". */
  platform: string;
  /** For example "macOS 15.3" or "Debian GNU/Linux 12 (bookworm)". */
  system: string;
  chip?: string;
  cores: number;
  /** Bytes. */
  memory: number;
  /** Version of Node. */
  node: string;
  /** True for Intel code on Apple silicon. */
  rosetta: boolean;
  /** Linux: version of the C library, or "musl". */
  libc?: string;
}

/** What systems tell of themselves. */
export interface SystemFacts {
  platform: string;
  /** What `os.release()` gives. */
  release: string;
  /** What `os.version()` gives. */
  version: string;
  /** Linux: the text of /etc/os-release. */
  osRelease?: string;
  /** macOS: what `sw_vers -productVersion` prints. */
  macos?: string;
}

/** Describes this machine. */
export function describeMachine(): MachineReport {
  const { platform, arch, translated } = thisMachine();
  const { glibc, musl } = thisLibrary();
  const cores = cpus();
  const chip = cores[0]?.model.trim();
  const libc = musl ? "musl" : glibc && `glibc ${glibc}`;
  return {
    platform: `${platform}-${arch}`,
    system: systemName(systemFacts()),
    ...(chip && { chip }),
    cores: cores.length,
    memory: totalmem(),
    node: process.versions.node,
    rosetta: translated,
    ...(libc && { libc }),
  };
}

/** The system as its users know it. */
export function systemName(facts: SystemFacts): string {
  if (facts.platform === "darwin") return `macOS ${facts.macos ?? `(Darwin ${facts.release})`}`;
  if (facts.platform === "win32") return `${facts.version} (${facts.release})`;
  const pretty = facts.osRelease?.match(/^PRETTY_NAME=(["']?)(.+)\1$/m)?.[2];
  return pretty ?? `${facts.platform} ${facts.release}`;
}

function systemFacts(): SystemFacts {
  const { platform } = process;
  const facts = { platform, release: release(), version: version() };
  if (platform === "darwin") return { ...facts, macos: attempt(macosVersion) };
  return { ...facts, osRelease: attempt(() => readFileSync("/etc/os-release", "utf8")) };
}

function macosVersion(): string {
  const { execFileSync } = process.getBuiltinModule("node:child_process");
  return execFileSync("sw_vers", ["-productVersion"], { encoding: "utf8" }).trim();
}

/** Not every system has everything. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
