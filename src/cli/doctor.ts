import { Command } from "commander";
import type { Diagnosis } from "../index.js";
import { stateOfFile } from "./config.js";
import { EXIT, exitCodeOfHealth } from "./exit-codes.js";
import { addCommonFlags, type CommonFlags, type CommonOptions, commonOptions } from "./flags.js";
import { formatBytes } from "./format.js";
import { describeFacts, describeProvider } from "./health.js";
import type { Io } from "./io.js";
import { cellText } from "./table.js";

const EXAMPLES = `
Examples:
  $ llm-client doctor
  $ llm-client doctor --json > report.json`;

/** The flags and help of `llm-client doctor`. */
export function doctorCommand(run: (options: CommonOptions) => Promise<void>): Command {
  const command = new Command("doctor").description(
    "look at machine, addon, servers, files and caches, and tell what to do about problems",
  );
  return addCommonFlags(command)
    .addHelpText("after", EXAMPLES)
    .action((flags: CommonFlags) => run(commonOptions(flags, command)));
}

/** Prints what is found here; resolves to the exit code. */
export async function runDoctor({ sources, json }: CommonOptions, io: Io): Promise<number> {
  const { diagnose } = await import("../index.js");
  const diagnosis = await diagnose({}, sources);
  io.signal.throwIfAborted();
  for (const warning of diagnosis.warnings) {
    await io.stderr.write(`warning: ${cellText(warning)}\n`);
  }
  await io.stdout.write(
    json ? `${JSON.stringify(diagnosis, undefined, 2)}\n` : describe(diagnosis),
  );
  return diagnosis.misconfigured ? EXIT.usage : exitCodeOfHealth(diagnosis);
}

function describe(diagnosis: Diagnosis): string {
  const { addon, providers, misconfigured, files, caches } = diagnosis;
  const sections = [
    describeMachine(diagnosis),
    ...providers.map((health) => [
      ...describeProvider(health),
      ...(addon && health.url === undefined ? describeAddon(addon) : []),
    ]),
    describeFacts("configuration", {
      reason: misconfigured?.message,
      hint: misconfigured?.hint,
      ...Object.fromEntries(files.map((file) => [file.path, stateOfFile(file)])),
    }),
    describeFacts(
      "models",
      Object.fromEntries(caches.map(({ folder, bytes }) => [folder, sizeOf(bytes)])),
    ),
  ];
  return sections.map((lines) => `${lines.join("\n")}\n`).join("\n");
}

function describeMachine({ version, machine }: Diagnosis): string[] {
  const { chip, cores, memory, rosetta } = machine;
  return describeFacts(`llm-client ${version}`, {
    system: `${machine.system}, ${machine.platform}`,
    chip: [chip, `${cores} cores`, rosetta ? "under Rosetta" : ""].filter(Boolean).join(", "),
    memory: formatBytes(memory),
    Node: machine.node,
    "C library": machine.libc,
  });
}

function describeAddon(addon: NonNullable<Diagnosis["addon"]>): string[] {
  const [, ...lines] = describeFacts("", {
    addon: addon.path,
    "mlx-c": addon.mlxC,
    grammars: addon.llguidance ? `llguidance ${addon.llguidance}` : "left out",
    "memory for models": formatBytes(addon.memoryLimit),
  });
  return lines;
}

function sizeOf(bytes: number | undefined): string {
  return bytes === undefined ? "not there" : formatBytes(bytes);
}
