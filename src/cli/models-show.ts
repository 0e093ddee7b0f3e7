import type { ModelDetails } from "../index.js";
import { openClient } from "./client.js";
import type { CommonOptions } from "./flags.js";
import { formatBytes } from "./format.js";
import type { Io } from "./io.js";
import { cellText } from "./table.js";

/** Prints what is known of a model, a line for each fact. */
export async function showModel(
  { model, ...options }: CommonOptions & { model: string },
  io: Io,
): Promise<void> {
  await using client = await openClient(options, io);
  const details = await client.showModel(model, { signal: io.signal });
  await io.stdout.write(
    options.json ? `${JSON.stringify(details, undefined, 2)}\n` : describe(details),
  );
}

/** What is not known is left out. */
function describe(details: ModelDetails): string {
  const { id, provider, parameters, size, usable, description, files = [] } = details;
  const facts: Record<string, string | number | undefined> = {
    model: id,
    provider,
    architecture: details.family,
    parameters: parameters === undefined ? undefined : `${parameters} (${shortened(parameters)})`,
    size: size === undefined ? undefined : formatBytes(size),
    quantization: details.quantization,
    context: details.contextLength,
    capabilities: details.capabilities?.join(", "),
    template: yesOrNo(details.hasTemplate),
    usable: yesOrNo(usable),
    loaded: yesOrNo(details.loaded),
    note: description,
    license: details.license,
    revision: details.revision,
    folder: details.path,
  };
  const lines = Object.entries(facts).filter(([, fact]) => fact !== undefined && fact !== "");
  const parts = files.map(({ name, size }) => `  ${cellText(name)} (${formatBytes(size)})\n`);
  return [
    ...lines.map(([name, fact]) => `${name}: ${cellText(fact)}\n`),
    ...(parts.length > 0 ? ["files:\n", ...parts] : []),
  ].join("");
}

/** For example 1.5 B, as models are called. */
function shortened(count: number): string {
  const units = ["", " k", " M", " B", " T"];
  const power = Math.min(Math.floor(Math.log10(Math.max(count, 1)) / 3), units.length - 1);
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)}${units[power]}`;
}

function yesOrNo(value: boolean | undefined): string | undefined {
  return value === undefined ? undefined : value ? "yes" : "no";
}
