// Measuring two programs on a machine that is never quite quiet.

/**
 * Measures A B A B … and returns the samples of both. The first pair warms caches and is dropped.
 * What disturbs the machine for a while disturbs both halves of a pair, so their ratio stays good.
 */
export async function alternate(pairs, measureA, measureB) {
  const samples = [];
  for (let pair = 0; pair <= pairs; pair++) {
    const sample = [await measureA(), await measureB()];
    if (pair > 0) samples.push(sample);
  }
  return { a: samples.map(([a]) => a), b: samples.map(([, b]) => b) };
}

/** The value below which the given part of the samples lies, between samples interpolated. */
export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * part;
  const below = sorted[Math.floor(position)];
  return below + (sorted[Math.ceil(position)] - below) * (position % 1);
}

/** Median and quartiles. */
export function summary(values) {
  return {
    low: quantile(values, 0.25),
    median: quantile(values, 0.5),
    high: quantile(values, 0.75),
  };
}

/**
 * One row of a table: both medians, and the median of what `compare` makes of each pair.
 * @example compared("4 × 64", samples, (ours, theirs) => ours / theirs, "≥ 1.1")
 */
export function compared(name, { a, b }, compare, goal) {
  const comparison = summary(a.map((value, pair) => compare(value, b[pair])));
  return { name, ours: summary(a).median, theirs: summary(b).median, comparison, goal };
}
