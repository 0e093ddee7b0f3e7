import type { Attributes, MeterProvider } from "@opentelemetry/api";
import type { Usage } from "../index.js";

/** Where the conventions want the buckets of histograms to end. */
const SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const TOKENS = Array.from({ length: 14 }, (_, index) => 4 ** index);

/** The histograms of the conventions for generative AI. */
export class Metrics {
  readonly #duration;
  readonly #firstChunk;
  readonly #tokens;

  constructor(provider: MeterProvider, scope: string) {
    const meter = provider.getMeter(scope);
    const seconds = (name: string, description: string) =>
      meter.createHistogram(`gen_ai.client.operation.${name}`, {
        description,
        unit: "s",
        advice: { explicitBucketBoundaries: SECONDS },
      });
    this.#duration = seconds("duration", "How long calls take.");
    this.#firstChunk = seconds("time_to_first_chunk", "How long streams take to begin.");
    this.#tokens = meter.createHistogram("gen_ai.client.token.usage", {
      description: "Tokens of prompts and replies.",
      unit: "{token}",
      advice: { explicitBucketBoundaries: TOKENS },
    });
  }

  /** A call ended, well or not. */
  duration(seconds: number, attributes: Attributes): void {
    this.#duration.record(seconds, attributes);
  }

  /** A stream began. */
  firstChunk(seconds: number, attributes: Attributes): void {
    this.#firstChunk.record(seconds, attributes);
  }

  /** What a reply cost; what the provider does not tell is not counted. */
  usage({ promptTokens, completionTokens }: Usage, attributes: Attributes): void {
    const counts = { input: promptTokens, output: completionTokens };
    for (const [type, count] of Object.entries(counts)) {
      if (count === undefined) continue;
      this.#tokens.record(count, { ...attributes, "gen_ai.token.type": type });
    }
  }
}
