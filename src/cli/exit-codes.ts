import type { Attempt, HealthReport, LLMError } from "../index.js";

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

/** Nobody could answer, as was found before anything was asked. */
export class NotReadyError extends Error {
  override name = "NotReadyError";
  readonly hint?: string;

  constructor(readonly report: HealthReport) {
    const { providers } = report;
    const reasons = providers.map(({ provider, reason }) => `${provider}: ${reason}`);
    super(reasons.length === 1 ? reasons[0] : ["Nobody can answer.", ...reasons].join("\n  "));
    this.hint = providers.find(({ hint }) => hint !== undefined)?.hint;
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

// By code, because attempts and reports hold no errors; any other is "unavailable".
const REASONS: Record<string, number> = {
  configuration: EXIT.usage,
  unsupported: EXIT.usage,
  auth: EXIT.authentication,
  model_not_found: EXIT.modelNotFound,
  model_mismatch: EXIT.modelNotFound,
  context_length_exceeded: EXIT.contextOverflow,
  timeout: EXIT.timeout,
  first_content_timeout: EXIT.timeout,
  idle_timeout: EXIT.timeout,
};

/** The exit code for a health report. */
export function exitCodeOfHealth({ healthy, providers }: HealthReport): number {
  return healthy ? EXIT.ok : exitCodeOfAll(providers.map(({ code }) => code));
}

/** The exit code for an error that a command threw. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof Error)) return EXIT.failure;
  if (error instanceof NotReadyError) return exitCodeOfHealth(error.report);
  if (error.name !== "AllProvidersFailedError") return CODES[error.name] ?? EXIT.failure;
  const { attempts = [] } = error as Partial<LLMError>;
  return exitCodeOfAll(lastOfEachLeg(attempts).map(({ code }) => code));
}

/** What became of every leg that was asked. */
function lastOfEachLeg(attempts: Attempt[]): Attempt[] {
  const asked = attempts.filter(({ skippedBecause }) => skippedBecause === undefined);
  return [...new Map(asked.map((attempt) => [attempt.leg, attempt])).values()];
}

/** Where all fail for one reason it counts; a provider that cannot work here has no say. */
function exitCodeOfAll(codes: (string | undefined)[]): number {
  const [first, ...others] = codes
    .filter((code) => code !== "provider_unavailable")
    .map((code) => REASONS[code ?? ""]);
  return first !== undefined && others.every((code) => code === first) ? first : EXIT.unavailable;
}
