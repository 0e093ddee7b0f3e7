import { existsSync } from "node:fs";
import * as z from "zod/mini";
import type { LLMConfig } from "../types.js";
import { allow, check, describeProblem } from "../validation.js";
import { checkValues, wrongConfiguration } from "./check-values.js";
import { generalVariables } from "./environment.js";
import { namedFile, readFileLayer, usualFiles } from "./files.js";
import type { Layer } from "./layers.js";

/** Where settings come from besides code. */
export interface ConfigSources {
  /** Settings of a command line; errors name its flags. */
  flags?: LLMConfig;
  /** This file instead of the usual ones; false reads none. */
  configFile?: string | false;
  env?: NodeJS.ProcessEnv;
  /** Folder of `llm_config.json`. */
  cwd?: string;
  /** The machine, as `process` names it; it decides what "auto" tries first. */
  platform?: { platform: string; arch: string };
}

/** A place where a configuration file may be. */
export interface FileReport {
  path: string;
  found: boolean;
  /** False also for a file in whose place another one was named. */
  used: boolean;
}

/** Everything that was given. */
export interface GivenConfig {
  /** The most important first. */
  layers: Layer[];
  env: NodeJS.ProcessEnv;
  files: FileReport[];
  platform: { platform: string; arch: string };
  /** Grows while the configuration is read. */
  warnings: Set<string>;
}

const FILE_OR_FALSE = "the name of a file, or false";
const anything = z.optional(z.unknown());
/** What is in flags and variables is checked when it is read. */
const sourcesSchema = z.strictObject(
  {
    flags: anything,
    configFile: z.optional(z.union([allow.text(FILE_OR_FALSE), z.literal(false)], FILE_OR_FALSE)),
    env: anything,
    cwd: anything,
    platform: anything,
  },
  "an object",
);

/** Reads and checks all sources. */
export function readSources(config: LLMConfig, sources: ConfigSources): GivenConfig {
  const { problems } = check(sourcesSchema, sources);
  if (problems) throw wrongConfiguration(problems.map(describeProblem).join("; "));
  const { flags = {}, env = process.env, platform = process } = sources;
  const warnings = new Set<string>();
  const direct = () => "given directly";
  const { files, layers } = readFiles(sources, env, warnings);
  return {
    layers: [
      { values: checkValues(config, "code", direct), originOf: direct },
      { values: checkValues(flags, "code", originOfFlag), originOf: originOfFlag },
      generalVariables(env, warnings),
      ...layers,
    ],
    env,
    files,
    platform,
    warnings,
  };
}

function readFiles(
  { configFile, cwd = process.cwd() }: ConfigSources,
  env: NodeJS.ProcessEnv,
  warnings: Set<string>,
): { files: FileReport[]; layers: Layer[] } {
  const usual = usualFiles(cwd, env);
  const named = typeof configFile === "string" ? [namedFile(configFile, cwd)] : [];
  const wanted = configFile === undefined ? usual : named;
  const layers = wanted.map((file) => readFileLayer(file, warnings));
  const used = wanted.filter((_, index) => layers[index] !== undefined);
  const files = [...named, ...usual].map((file) => ({
    path: file.path,
    found: existsSync(file.path),
    used: used.includes(file),
  }));
  return { files, layers: layers.filter((layer) => layer !== undefined) };
}

function originOfFlag(field: string): string {
  return `from --${field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}
