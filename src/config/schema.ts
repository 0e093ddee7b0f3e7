import * as z from "zod";
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

const ONE_KEY = { path: ["apiKeyEnv"], error: "left out where apiKey is given" };
const seconds = allow.seconds();
const pause = allow.number(0, 86_400, "a number of seconds from 0 to 86400");
const callback = z.custom<() => void>(isFunction, "a function").optional();
const LOGGER = "an object with the functions debug, info, warn and error";
const VARIABLE = "the name of a variable";
const PRINTABLE = "a text of printable ASCII characters without spaces";

const inheritedFields = {
  timeout: seconds.optional(),
  connectTimeout: seconds.optional(),
  firstTokenTimeout: seconds.optional(),
  maxRetries: allow.whole(0, 100).optional(),
  retryDelay: pause.optional(),
  retryMaxDelay: pause.optional(),
  retryExponentialBase: allow.number(1, 100).optional(),
};

const ownFields = {
  model: allow.text("the name of a model").optional(),
  baseUrl: allow.text("the address of a server, or a folder").optional(),
  apiKey: allow
    .text("a text that is not empty")
    .regex(/^[!-~]*$/, PRINTABLE)
    .optional(),
  verifySsl: allow.flag().optional(),
  maxConcurrent: allow.whole(1).optional(),
};

const clientFields = {
  deadline: seconds.optional(),
  cacheTtl: allow.number(0, Number.MAX_VALUE, "a number of seconds, 0 or more").optional(),
};

const codeFields = {
  onAttempt: callback,
  onRetry: callback,
  onFallback: callback,
  onFinish: callback,
  logger: z.custom<Logger>(isLogger, LOGGER).optional(),
};

const keyReference = {
  apiKeyEnv: allow
    .text(VARIABLE)
    .regex(/^[A-Za-z_]\w*$/, VARIABLE)
    .optional(),
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
export const schemas: Record<SourceKind, z.ZodType<ConfigValues>> = {
  code: configSchema({}, codeFields),
  file: configSchema(keyReference, {}),
};

function configSchema<Leg extends z.ZodRawShape, Client extends z.ZodRawShape>(
  moreOfLeg: Leg,
  moreOfClient: Client,
) {
  const provider = z.enum(["mlx", "ollama", "lmstudio"], '"mlx", "ollama" or "lmstudio"');
  const providerOrAuto = z
    .enum(["mlx", "ollama", "lmstudio", "auto"], '"mlx", "ollama", "lmstudio" or "auto"')
    .optional();
  const fields = { ...ownFields, ...moreOfLeg, ...inheritedFields };
  const leg = z.strictObject({ provider, ...fields }, "an object { provider, model, … }");
  const legs = z.array(leg.refine(hasOneKey, ONE_KEY), "a list of objects").optional();
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
    .refine(hasOneKey, ONE_KEY);
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
