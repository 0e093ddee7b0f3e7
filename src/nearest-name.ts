/** The known name that a mistyped one most likely stands for. */
export function nearestName(name: string, known: string[]): string | undefined {
  const wanted = simplify(name);
  const ranked = known
    .map((id) => {
      const candidate = simplify(id);
      const short = candidate.slice(candidate.indexOf("/") + 1);
      return {
        id,
        distance: Math.min(editDistance(wanted, candidate), editDistance(wanted, short)),
      };
    })
    .sort((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best && best.distance <= Math.max(1, wanted.length / 4) ? best.id : undefined;
}

function simplify(name: string): string {
  return name.toLowerCase().replace(/[_.\s]/g, "-");
}

/** How many letters must be inserted, removed, replaced or swapped to make one word of the other. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, index) => index)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? rows[i - 2]![j - 2]! + 1 : Infinity;
      row.push(Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, replaced, swapped));
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
