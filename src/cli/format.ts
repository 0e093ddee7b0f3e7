import type { Attempt, LLMError, LLMResponse, Timings, ToolCall } from "../index.js";
import { cellText } from "./table.js";

/** For example "1.5 GB"; decimal, as disks and download pages count. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}

/** One thing that was tried, as one line; counted from 1. */
export function attemptLine(attempt: Attempt, number: number): string {
  const { leg, provider, model } = attempt;
  const name = model === undefined ? provider : `${provider} ${model}`;
  return `attempt ${number} (leg ${leg}): ${name}: ${describeResult(attempt)}`;
}

/** What was tried for a request, one line for each. */
export function attemptLines(attempts: Attempt[]): string[] {
  return attempts.map((attempt, index) => attemptLine(attempt, index + 1));
}

/** What went wrong, and what to do next; lines. */
export function describeError(error: unknown): string {
  const { message = String(error), hint } = error as Partial<LLMError>;
  const [first, ...more] = message.split("\n  ").map(cellText);
  const lines = [first, ...more.map((line) => `  ${line}`)];
  if (hint) lines.push(`hint: ${cellText(hint)}`);
  return lines.map((line) => `${line}\n`).join("");
}

/** Who answered, how much and how fast, in one line. */
export function describeReply({ provider, model, usage, timings, ...more }: LLMResponse): string {
  const parts = [
    count(usage.promptTokens, "prompt tokens"),
    count(usage.cachedTokens, "of them cached"),
    count(usage.completionTokens, "tokens"),
    count(rounded(timings.tokensPerSecond), "tokens/s"),
    count(rounded(timings.firstTokenMs), "ms to the first"),
    more.usedFallback ? "a fallback" : undefined,
  ];
  const known = parts.filter((text) => text !== undefined).join(", ");
  return cellText(`${model} (${provider}): ${known}`);
}

/** A call that a model wants made, in one line. */
export function describeCall({ name, arguments: given, invalidArguments }: ToolCall): string {
  return cellText(`${name}(${invalidArguments ?? JSON.stringify(given)})`);
}

/** The token counts of a reply. */
export function describeUsage({ usage }: Pick<LLMResponse, "usage">): string {
  const counts = [
    count(usage.promptTokens, "prompt tokens"),
    count(usage.completionTokens, "completion tokens"),
    count(usage.totalTokens, "in total"),
    count(usage.cachedTokens, "cached"),
    count(usage.reasoningTokens, "for reasoning"),
  ];
  return counts.filter((text) => text !== undefined).join(", ") || "unknown";
}

/** Who answered, how fast, and what was tried; lines. */
export function describeRun(response: LLMResponse): string {
  const { provider, model, finishReason, latencyMs, timings, attempts } = response;
  const speeds = [
    `${Math.round(latencyMs)} ms`,
    count(rounded(timings.firstTokenMs), "ms to the first token"),
    count(rounded(timings.promptTokensPerSecond), "prompt tokens/s"),
    count(rounded(timings.tokensPerSecond), "tokens/s"),
    guesses(timings),
  ];
  const lines = [
    `model: ${model} (${provider}), finished by ${finishReason}`,
    `time: ${speeds.filter((text) => text !== undefined).join(", ")}`,
    ...attemptLines(attempts),
  ];
  return lines.map((line) => `${cellText(line)}\n`).join("");
}

function guesses({ draftTokens, acceptedTokens }: Timings): string | undefined {
  if (draftTokens === undefined) return undefined;
  return `${acceptedTokens} of ${draftTokens} guessed tokens right`;
}

function describeResult({ skippedBecause, code, status, phase, durationMs }: Attempt): string {
  if (skippedBecause !== undefined) return `skipped: ${skippedBecause}`;
  const parts = [code ?? "ok"];
  if (status !== undefined) parts.push(`status ${status}`);
  if (code !== undefined && phase !== undefined) parts.push(`phase ${phase}`);
  return [...parts, `${Math.round(durationMs)} ms`].join(", ");
}

function count(value: number | undefined, unit: string): string | undefined {
  return value === undefined ? undefined : `${value} ${unit}`;
}

function rounded(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 10) / 10;
}
