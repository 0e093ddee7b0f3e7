import { Command } from "commander";
import type { HealthReport, ProviderHealth } from "../index.js";
import { exitCodeOfHealth } from "./exit-codes.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";

const EXAMPLES = `
Examples:
  $ llm-client health
  $ llm-client health -p mlx -m ./my-model && echo ready`;

/** The flags and help of `llm-client health`. */
export function healthCommand(run: (options: CommonOptions) => Promise<void>): Command {
  const command = new Command("health").description("tell whether a model can be used here");
  return addCommonFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((flags: CommonFlags) => run(commonOptions(flags, command)));
}

/** Checks the providers and prints the report; resolves to the exit code. */
export async function runHealth(options: CommonOptions, io: Io): Promise<number> {
  const { LLMClient } = await import("../index.js");
  await using client = new LLMClient(options.config);
  const report = await client.health();
  await io.stdout.write(
    options.json ? `${JSON.stringify(report, undefined, 2)}\n` : describeReport(report),
  );
  return exitCodeOfHealth(report);
}

function describeReport(report: HealthReport): string {
  return report.providers
    .flatMap(describeProvider)
    .map((line) => `${line}\n`)
    .join("");
}

function describeProvider(health: ProviderHealth): string[] {
  const { provider, healthy, version, device, model, latencyMs, reason, hint, url } = health;
  const lines = [`${provider}: ${healthy ? "ready" : "not usable"}`];
  if (url) lines.push(`  address: ${url}`);
  if (version) lines.push(`  version: ${version}`);
  if (device) {
    const memory = device.memorySize ? `, ${formatBytes(device.memorySize)}` : "";
    lines.push(`  device: ${device.type} (${device.name}${memory})`);
  }
  if (healthy && model)
    lines.push(`  model: ${model} answered; checked in ${Math.round(latencyMs)} ms`);
  if (reason) lines.push(`  reason: ${reason}`);
  if (hint) lines.push(`  hint: ${hint}`);
  return lines;
}
