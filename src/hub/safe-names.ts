/** Windows reads these as devices, whatever their ending. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
const LONGEST_PART = 255;

/** Whether a path of a server may become one below a folder, on any system. */
export function isSafePath(path: string): boolean {
  return path.length <= 1024 && path.split("/").every(isSafePart);
}

/** Whether a text is the name of a commit. */
export function isCommit(value: unknown): value is string {
  return typeof value === "string" && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(value);
}

/** The paths that a file system without upper and lower case would take for one. */
export function collidingPaths(paths: string[]): string[] {
  const seen = new Map<string, string>();
  return paths.flatMap((path) => {
    const folded = path.normalize("NFC").toLowerCase();
    const other = seen.get(folded);
    seen.set(folded, path);
    return other === undefined ? [] : [other, path];
  });
}

function isSafePart(part: string): boolean {
  if (part === "" || part.length > LONGEST_PART || /^\.\.?$|[. ]$/.test(part)) return false;
  return !/[\p{Cc}\\:*?"<>|]/u.test(part) && !DEVICE.test(part);
}
