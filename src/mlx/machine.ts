import { release } from "node:os";

/** Why MLX cannot run in this process. */
export interface NativeProblem {
  reason:
    | "unsupported-platform"
    | "rosetta"
    | "macos-too-old"
    | "libc"
    | "binary-missing"
    | "load-failed";
  message: string;
  /** What to do about it. */
  hint: string;
  cause?: unknown;
}

/** The machine, as far as it decides whether MLX can run on it. */
export interface Machine {
  platform: string;
  arch: string;
  /** Version of the kernel; macOS 14 has 23. */
  release: string;
  /** True under Rosetta: Intel code on Apple silicon. */
  translated: boolean;
}

/** The C library of a Linux; neither is known of a process that does not tell. */
export interface CLibrary {
  glibc?: string;
  musl: boolean;
}

const supported = ["darwin-arm64", "linux-x64", "linux-arm64"];
const useAnotherProvider =
  "MLX runs on Apple silicon Macs and on Linux; providers ollama and lmstudio run everywhere.";

/** What keeps MLX from running on a machine, whatever is installed there. */
export function machineProblem(machine: Machine): NativeProblem | undefined {
  const name = `${machine.platform}-${machine.arch}`;
  if (machine.translated) {
    return {
      reason: "rosetta",
      message: "MLX cannot run here: this Node is an Intel build running under Rosetta",
      hint: "Install Node for arm64 (Apple silicon) and run npm install again with it.",
    };
  }
  if (!supported.includes(name)) {
    return {
      reason: "unsupported-platform",
      message: `MLX does not run on ${name}, only on ${supported.join(", ")}`,
      hint: useAnotherProvider,
    };
  }
  if (machine.platform === "darwin" && Number.parseInt(machine.release, 10) < 23) {
    return {
      reason: "macos-too-old",
      message: "MLX needs macOS 14 or later",
      hint: `Update macOS. ${useAnotherProvider}`,
    };
  }
  return undefined;
}

/** What keeps MLX's library from loading beside a C library. */
export function libraryProblem({ glibc, musl }: CLibrary): NativeProblem | undefined {
  const [major = 0, minor = 0] = (glibc ?? "").split(".").map(Number);
  const isOld = glibc !== undefined && (major < 2 || (major === 2 && minor < 35));
  if (!musl && !isOld) return undefined;
  return {
    reason: "libc",
    message: `MLX needs glibc 2.35 or later; here is ${musl ? "musl" : `glibc ${glibc}`}`,
    hint: `Use Debian 12, Ubuntu 22.04 or later, also as the base of a container. ${useAnotherProvider}`,
  };
}

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  const { platform, arch } = process;
  const translated = platform === "darwin" && arch === "x64" && runsUnderRosetta();
  return { platform, arch, release: release(), translated };
}

/** The C library that this process runs with. Finding out takes a few milliseconds. */
export function thisLibrary(): CLibrary {
  if (process.platform !== "linux") return { musl: false };
  const report = process.report as { excludeNetwork?: boolean; getReport(): unknown };
  const before = report.excludeNetwork;
  // Otherwise it would look up the names of all addresses.
  report.excludeNetwork = true;
  const { header, sharedObjects = [] } = report.getReport() as {
    header?: { glibcVersionRuntime?: string };
    sharedObjects?: string[];
  };
  report.excludeNetwork = before;
  const musl = sharedObjects.some((file) => /\b(ld-musl-|libc\.musl-)/.test(file));
  return { glibc: header?.glibcVersionRuntime, musl };
}

function runsUnderRosetta(): boolean {
  try {
    // Only here, because loading it takes a while.
    const { execFileSync } = process.getBuiltinModule("node:child_process");
    const output = execFileSync("sysctl", ["-in", "sysctl.proc_translated"], { encoding: "utf8" });
    return output.trim() === "1";
  } catch {
    return false;
  }
}
