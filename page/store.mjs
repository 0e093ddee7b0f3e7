// What the browser keeps.

const PREFIX = "llm-client-";

/** What was kept by a name, if it can be read. */
export function recall(name, storage = localStorage) {
  try {
    return JSON.parse(storage.getItem(PREFIX + name)) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Keeps a value; gives false where there is no room for it. */
export function keep(name, value, storage = localStorage) {
  try {
    storage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Keeps turns; images are the first that there is no room for. */
export function keepTurns(turns) {
  if (keep("turns", turns)) return;
  keep(
    "turns",
    turns.map(({ images: _, ...turn }) => turn),
  );
}
