import type { HealthReport } from "../index.js";

/** What the exit code of a command means; the one table of them. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  unavailable: 3,
  authentication: 4,
  modelNotFound: 5,
  contextOverflow: 6,
  timeout: 7,
  interruptedStream: 8,
  interrupt: 130,
} as const;

/** A wrong use of the command line, for example no prompt. */
export class UsageError extends Error {
  override name = "UsageError";

  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

// By name, because importing the classes would load the whole package even for --help.
const CODES: Record<string, number> = {
  UsageError: EXIT.usage,
  ConfigurationError: EXIT.usage,
  ValidationError: EXIT.usage,
  ProviderUnavailableError: EXIT.unavailable,
  ConnectionError: EXIT.unavailable,
  AllProvidersFailedError: EXIT.unavailable,
  AuthenticationError: EXIT.authentication,
  ModelNotFoundError: EXIT.modelNotFound,
  ContextLengthError: EXIT.contextOverflow,
  TimeoutError: EXIT.timeout,
  StreamInterruptedError: EXIT.interruptedStream,
  AbortError: EXIT.interrupt,
};

// By code, because a report holds no errors; any other is "unavailable".
const HEALTH_CODES: Record<string, number> = {
  configuration: EXIT.usage,
  auth: EXIT.authentication,
  model_not_found: EXIT.modelNotFound,
  timeout: EXIT.timeout,
};

/** The exit code for a health report. */
export function exitCodeOfHealth({ healthy, providers }: HealthReport): number {
  if (healthy) return EXIT.ok;
  const [first, ...others] = providers.map(({ code }) => HEALTH_CODES[code ?? ""]);
  return first !== undefined && others.every((code) => code === first) ? first : EXIT.unavailable;
}

/** The exit code for an error that a command threw. */
export function exitCodeOf(error: unknown): number {
  return (error instanceof Error && CODES[error.name]) || EXIT.failure;
}
