import { readFileSync } from "node:fs";
import { Calls } from "../calls.js";
import { isAddress } from "../config/addresses.js";
import { describeConfig } from "../config/explain.js";
import { type ConfigSources, type LegSettings, resolveConfig } from "../config/settings.js";
import type { FileReport } from "../config/sources.js";
import { ConfigurationError } from "../errors.js";
import { describeMachine, type MachineReport } from "./machine-report.js";
import type { AddonFacts, AddonProbe } from "../mlx/addon-probe.js";
import type { CacheReport } from "./cache-sizes.js";
import { createProvider } from "../providers/registry.js";
import type { HealthReport, LLMConfig, ProviderHealth } from "../types.js";

export type { MachineReport } from "./machine-report.js";
export type { AddonFacts } from "../mlx/addon-probe.js";
export type { CacheReport } from "./cache-sizes.js";

/** What this package finds on a machine. */
export interface Diagnosis extends HealthReport {
  /** Version of this package. */
  version: string;
  machine: MachineReport;
  /** The addon for MLX; absent where it does not load, which `providers` explains. */
  addon?: AddonFacts;
  /** Why the configuration cannot be used; servers are then looked for where they usually are. */
  misconfigured?: { message: string; hint?: string };
  /** Configuration files that are looked for. */
  files: FileReport[];
  /** Folders of models. */
  caches: CacheReport[];
  /** What works, but not as it could, and what to do about it. */
  warnings: string[];
}

/** What the configuration says, as far as it can be read. */
interface Reading extends Pick<Diagnosis, "files" | "warnings" | "misconfigured"> {
  legs: LegSettings[];
}

const NO_GRAMMARS =
  "The addon was built without llguidance, so MLX models cannot keep replies to a schema: " +
  "install cargo (rustup.rs) and run npm run build:native.";

/**
 * Looks at everything that decides whether models can run here: the machine, the addon, servers,
 * configuration and caches. The addon is loaded in another process, and no model is.
 * @example
 * const { healthy, providers } = await diagnose();
 */
export async function diagnose(
  config: LLMConfig = {},
  sources: ConfigSources = {},
): Promise<Diagnosis> {
  const { legs, ...reading } = readConfiguration(config, sources);
  // Who never asks for a diagnosis need not load what makes it.
  const { probeAddon } = await import("../mlx/addon-probe.js");
  const { measureCaches } = await import("./cache-sizes.js");
  const [[addon, mlx], caches, servers] = await Promise.all([
    timed(probeAddon).then(describeProbe),
    measureCaches(sources.env ?? process.env),
    Promise.all(legs.filter(isServer).map(askServer)),
  ]);
  const providers = [mlx, ...servers];
  if (addon && !addon.llguidance) reading.warnings.push(NO_GRAMMARS);
  return {
    healthy: providers.some(({ healthy }) => healthy),
    version: packageVersion(),
    machine: describeMachine(),
    ...(addon && { addon }),
    providers,
    ...reading,
    caches,
  };
}

function readConfiguration(config: LLMConfig, sources: ConfigSources): Reading {
  try {
    const { files, legs, warnings } = describeConfig(config, sources);
    const named = legs.map(({ settings }) => settings);
    const usual = usualLegs(sources.env).filter(({ provider }) =>
      named.every((leg) => leg.provider !== provider),
    );
    return { files, warnings, legs: [...named, ...usual] };
  } catch (error) {
    if (!ConfigurationError.is(error)) throw error;
    const { message, hint } = error;
    return { files: [], warnings: [], misconfigured: { message, hint }, legs: usualLegs({}) };
  }
}

/** All providers, also those that the configuration leaves out. */
function usualLegs(env: NodeJS.ProcessEnv | undefined): LegSettings[] {
  return resolveConfig({ provider: "auto" }, { env, configFile: false }).legs;
}

/** MLX may be a server, too. */
function isServer({ baseUrl }: LegSettings): boolean {
  return baseUrl !== undefined && isAddress(baseUrl);
}

async function askServer(leg: LegSettings): Promise<ProviderHealth> {
  const provider = createProvider(leg);
  try {
    return await new Calls().within(leg.timeout, "The check", (signal) =>
      provider.health({ signal }),
    );
  } finally {
    await provider.close();
  }
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; latencyMs: number }> {
  const startedAt = performance.now();
  const result = await work();
  return { result, latencyMs: performance.now() - startedAt };
}

function describeProbe({
  result,
  latencyMs,
}: {
  result: AddonProbe;
  latencyMs: number;
}): [AddonFacts | undefined, ProviderHealth] {
  const health = { provider: "mlx", latencyMs } as const;
  if ("facts" in result) {
    const { mlx: version, device } = result.facts;
    return [result.facts, { ...health, healthy: true, reachable: true, version, device }];
  }
  const { message: reason, hint } = result.problem;
  const code = "provider_unavailable";
  return [undefined, { ...health, healthy: false, reachable: false, code, reason, hint }];
}

function packageVersion(): string {
  // The same two steps up from src/diagnosis/, dist/esm/, dist/cjs/ and dist/cli/.
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
