// How the figures of a benchmark are printed.

/** Prints a table: both medians, the median of the pairs' ratios, and where the middle half of them lies. */
export function print({ title, other = "mlx-lm", comparison, digits, rows }) {
  console.log(`\n${title.padEnd(26)}     ours${other.padStart(9)}   ${comparison} (middle half)`);
  for (const { name, ours, theirs, comparison, goal, note } of rows) {
    const figures = [ours, theirs].map((value) => value.toFixed(digits).padStart(9)).join("");
    const { low, median, high } = comparison;
    const text = `  ${name.padEnd(24)}${figures}   ${median.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
    const remarks = [goal && `goal ${goal}`, note].filter(Boolean).join("; ");
    console.log(`${text.padEnd(68)}${remarks}`.trimEnd());
  }
}
