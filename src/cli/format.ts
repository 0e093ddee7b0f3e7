import type { Attempt } from "../index.js";

/** For example "1.5 GB"; decimal, as disks and download pages count. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), units.length - 1);
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}

/** What was tried for a request, one line for each. */
export function attemptLines(attempts: Attempt[]): string[] {
  return attempts.map(({ provider, model, skippedBecause, code, durationMs }, index) => {
    const result = skippedBecause ?? code ?? "ok";
    const name = model === undefined ? provider : `${provider} ${model}`;
    return `attempt ${index + 1}: ${name}: ${result}, ${Math.round(durationMs)} ms`;
  });
}
