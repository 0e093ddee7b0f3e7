import * as z from "zod/mini";
import type { LegConfig, LLMConfig, Logger } from "../types.js";
import { allow } from "../validation.js";

/** What may be given for one leg. */
export interface LegValues extends LegConfig {
  /** Name of the variable that holds the key; for files. */
  apiKeyEnv?: string;
}

/** What one source may give. */
export interface ConfigValues extends Omit<LLMConfig, "fallbackConfigs">, LegValues {
  fallbackConfigs?: LegValues[];
}

/** Files hold no functions; code needs no references to keys. */
export type SourceKind = "code" | "file";

const oneKey = z.refine<object>(hasOneKey, {
  path: ["apiKeyEnv"],
  error: "left out where apiKey is given",
});
const seconds = allow.seconds();
const pause = allow.number(0, 86_400, "a number of seconds from 0 to 86400");
const callback = z.optional(z.custom<() => void>(isFunction, "a function"));
const LOGGER = "an object with the functions debug, info, warn and error";
const VARIABLE = "the name of a variable";
const PRINTABLE = "a text of printable ASCII characters without spaces";

const inheritedFields = {
  timeout: z.optional(seconds),
  connectTimeout: z.optional(seconds),
  firstTokenTimeout: z.optional(seconds),
  maxRetries: z.optional(allow.whole(0, 100)),
  retryDelay: z.optional(pause),
  retryMaxDelay: z.optional(pause),
  retryExponentialBase: z.optional(allow.number(1, 100)),
};

const ownFields = {
  model: z.optional(allow.text("the name of a model")),
  baseUrl: z.optional(allow.text("the address of a server, or a folder")),
  apiKey: z.optional(allow.text("a text that is not empty").check(z.regex(/^[!-~]*$/, PRINTABLE))),
  verifySsl: z.optional(allow.flag()),
  maxConcurrent: z.optional(allow.whole(1)),
  promptCacheBytes: z.optional(allow.whole(0)),
  promptCacheFolder: z.optional(allow.text("a folder")),
  idleUnload: z.optional(seconds),
};

const clientFields = {
  deadline: z.optional(seconds),
  cacheTtl: z.optional(allow.number(0, Number.MAX_VALUE, "a number of seconds, 0 or more")),
};

const codeFields = {
  onStart: callback,
  onAttempt: callback,
  onRetry: callback,
  onFallback: callback,
  onFinish: callback,
  logger: z.optional(z.custom<Logger>(isLogger, LOGGER)),
};

const keyReference = {
  apiKeyEnv: z.optional(allow.text(VARIABLE).check(z.regex(/^[A-Za-z_]\w*$/, VARIABLE))),
};

/** Fields that a fallback has from the configuration around it, where it does not give them. */
export const INHERITED_FIELDS = keysOf(inheritedFields);
/** Fields that say nothing about another server than the one they are meant for. */
export const OWN_FIELDS = [...keysOf(ownFields), ...keysOf(keyReference)];
/** Fields that a client has once, however many legs it has. */
export const CLIENT_FIELDS = [...keysOf(clientFields), "fallbackConfigs"] as const;
/** Fields that only code can give. */
export const CODE_FIELDS = keysOf(codeFields);
/** All fields; unknown ones are refused. */
export const FIELDS = [
  "provider",
  ...OWN_FIELDS,
  ...INHERITED_FIELDS,
  ...CLIENT_FIELDS,
  ...CODE_FIELDS,
] as const;

/** What each kind of source may give. */
export const schemas: Record<SourceKind, z.ZodMiniType<ConfigValues>> = {
  code: configSchema({}, codeFields),
  file: configSchema(keyReference, {}),
};

function configSchema<Leg extends z.core.$ZodShape, Client extends z.core.$ZodShape>(
  moreOfLeg: Leg,
  moreOfClient: Client,
) {
  const provider = z.enum(["mlx", "ollama", "lmstudio"], '"mlx", "ollama" or "lmstudio"');
  const providerOrAuto = z.optional(
    z.enum(["mlx", "ollama", "lmstudio", "auto"], '"mlx", "ollama", "lmstudio" or "auto"'),
  );
  const fields = { ...ownFields, ...moreOfLeg, ...inheritedFields };
  const leg = z.strictObject({ provider, ...fields }, "an object { provider, model, … }");
  const legs = z.optional(z.array(leg.check(oneKey), "a list of objects"));
  return z
    .strictObject(
      {
        provider: providerOrAuto,
        ...fields,
        ...clientFields,
        fallbackConfigs: legs,
        ...moreOfClient,
      },
      "an object",
    )
    .check(oneKey);
}

function hasOneKey(values: object): boolean {
  return !("apiKey" in values && "apiKeyEnv" in values);
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

function isLogger(value: unknown): boolean {
  const logger = Object(value) as Record<string, unknown>;
  return ["debug", "info", "warn", "error"].every((level) => isFunction(logger[level]));
}

function keysOf<T extends object>(value: T): (keyof T & string)[] {
  return Object.keys(value) as (keyof T & string)[];
}
