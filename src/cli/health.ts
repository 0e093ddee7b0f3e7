import { Command } from "commander";
import type { HealthReport, ProviderHealth } from "../index.js";
import { openClient } from "./client.js";
import { exitCodeOfHealth } from "./exit-codes.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { cellText } from "./table.js";

const EXAMPLES = `
Examples:
  $ llm-client health
  $ llm-client health -p mlx -m ./my-model && echo ready
  $ llm-client health --json | jq '.providers[] | select(.healthy).provider'`;

/** The flags and help of `llm-client health`. */
export function healthCommand(run: (options: CommonOptions) => Promise<void>): Command {
  const command = new Command("health").description(
    "tell which providers can be used here, and what is wrong with the others",
  );
  return addCommonFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((flags: CommonFlags) => run(commonOptions(flags, command)));
}

/** Checks the providers and prints the report; resolves to the exit code. */
export async function runHealth(options: CommonOptions, io: Io): Promise<number> {
  await using client = await openClient(options, io);
  const report = await client.health();
  io.signal.throwIfAborted();
  await io.stdout.write(
    options.json ? `${JSON.stringify(report, undefined, 2)}\n` : describeReport(report),
  );
  return exitCodeOfHealth(report);
}

function describeReport({ providers }: HealthReport): string {
  return providers.map((health) => `${describeProvider(health).join("\n")}\n`).join("");
}

/** Lines; what is not known is left out. */
export function describeProvider(health: ProviderHealth): string[] {
  const { provider, healthy, reachable, authenticated, latencyMs } = health;
  const facts: Record<string, string | undefined> = {
    address: health.url,
    reachable: yesOrNo(reachable),
    authenticated: yesOrNo(authenticated),
    version: health.version,
    device: describeDevice(health),
    model: describeModel(health),
    breaker: describeBreaker(health),
    "checked in": `${Math.round(latencyMs)} ms`,
    reason: health.reason,
    hint: health.hint,
  };
  return describeFacts(`${provider}: ${healthy ? "ready" : "not usable"}`, facts);
}

/** A heading with a line for each fact that is known. */
export function describeFacts(
  heading: string,
  facts: Record<string, string | undefined>,
): string[] {
  const known = Object.entries(facts).filter(([, fact]) => fact !== undefined);
  return [heading, ...known.map(([name, fact]) => `  ${name}: ${cellText(fact)}`)];
}

function yesOrNo(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : value ? "yes" : "no";
}

function describeDevice({ device }: ProviderHealth): string | undefined {
  if (!device) return undefined;
  const memory = device.memorySize ? `, ${formatBytes(device.memorySize)}` : "";
  return `${device.type} (${device.name}${memory})`;
}

function describeModel({ model, modelPresent, modelLoaded }: ProviderHealth): string | undefined {
  if (model === undefined) return undefined;
  if (modelPresent === false) return `${model}, not there`;
  return modelLoaded === undefined ? model : `${model}, ${modelLoaded ? "loaded" : "not loaded"}`;
}

function describeBreaker({ breaker }: ProviderHealth): string | undefined {
  if (!breaker || breaker.failures === 0) return undefined;
  return `${breaker.state} after ${breaker.failures} failures, the last one ${breaker.code}`;
}
