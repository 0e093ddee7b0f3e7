import { Command } from "commander";
import type { ConfigReport, FieldReport, FileReport, LegReport } from "../index.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import type { Io } from "./io.js";
import { type Cell, cellText, table, tabbedLines } from "./table.js";

/** What `llm-client config` prints of the configuration. */
export type ConfigView = "show" | "path" | "explain";

/** What `llm-client config` was asked to do. */
export interface ConfigOptions extends CommonOptions {
  view: ConfigView;
}

const VIEWS: Record<ConfigView, string> = {
  show: "print every setting with its origin; keys are not shown",
  path: "print which configuration files are looked for, and which are used",
  explain: "tell which providers would be asked, in which order, and how",
};

const EXAMPLES = `
Examples:
  $ llm-client config show
  $ llm-client config explain -p ollama --timeout 60
  $ llm-client config show --json | jq '.fields[] | select(.field == "timeout")'`;

/** The flags and help of `llm-client config`. */
export function configCommand(run: (options: ConfigOptions) => Promise<void>): Command {
  const command = new Command("config")
    .description("tell which settings are used, and where they come from")
    .addHelpText("after", EXAMPLES);
  for (const [view, description] of Object.entries(VIEWS) as [ConfigView, string][]) {
    const subcommand = addCommonFlags(command.command(view)).description(description);
    subcommand.action((flags: CommonFlags) => run({ ...commonOptions(flags, subcommand), view }));
  }
  return command;
}

/** Prints the configuration; nothing is sent anywhere. */
export async function runConfig({ view, sources, json }: ConfigOptions, io: Io): Promise<void> {
  const { explainConfig } = await import("../index.js");
  const report = explainConfig({}, sources);
  for (const warning of report.warnings) await io.stderr.write(`warning: ${cellText(warning)}\n`);
  if (json) return io.stdout.write(`${JSON.stringify(jsonOf(report, view), undefined, 2)}\n`);
  if (view === "explain") return io.stdout.write(report.legs.map(describeLeg).join(""));
  const [head, rows] = view === "path" ? pathRows(report) : fieldRows(report);
  await io.stdout.write(io.stdout.isTTY ? await table(head, rows, io.stdout) : tabbedLines(rows));
}

function jsonOf(report: ConfigReport, view: ConfigView): unknown {
  return view === "path" ? report.files : report;
}

function pathRows({ files }: ConfigReport): [string[], Cell[][]] {
  return [["file", "state"], files.map((file) => [file.path, stateOfFile(file)])];
}

/** Whether a configuration file is there and counts, in words. */
export function stateOfFile({ found, used }: FileReport): string {
  return used ? "used" : found ? "not used: --config names another" : "not there";
}

/** First what holds for all, then what is different for one leg. */
function fieldRows({ fields, legs }: ConfigReport): [string[], Cell[][]] {
  const shared = new Set(fields.map((field) => JSON.stringify(field)));
  const rowOf = ({ field, value, origin }: FieldReport, prefix = "") => [
    prefix + field,
    textOf(value),
    origin,
  ];
  const ofLegs = legs.flatMap((leg) =>
    leg.fields
      .filter((field) => !shared.has(JSON.stringify(field)))
      .map((field) => rowOf(field, `${leg.provider}[${leg.leg}].`)),
  );
  return [
    ["setting", "value", "origin"],
    [...fields.map((field) => rowOf(field)), ...ofLegs],
  ];
}

function textOf(value: unknown): string {
  return Array.isArray(value) ? value.join(", ") : String(value ?? "");
}

function describeLeg(leg: LegReport, index: number): string {
  const value = (name: string) => textOf(leg.fields.find(({ field }) => field === name)?.value);
  const lines = [
    `${index + 1}. ${leg.provider} (${leg.origin})`,
    `   address: ${value("baseUrl") || "in this process"}`,
    `   model: ${leg.model ?? "the server chooses"}`,
    `   silence: ${value("firstTokenTimeout")} s before the first token, ${value("timeout")} s after`,
    `   connecting: ${value("connectTimeout")} s`,
    `   retries: ${value("maxRetries")}, after ${value("retryDelay")} to ${value("retryMaxDelay")} s`,
  ];
  if (leg.skippedBecause) lines.push(`   skipped: ${leg.skippedBecause}`);
  return lines.map((line) => `${line.slice(0, 3)}${cellText(line.slice(3))}\n`).join("");
}
