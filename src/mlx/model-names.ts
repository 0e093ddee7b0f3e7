import { isAbsolute, sep } from "node:path";

/** The model that comes with the package. */
export const DEMO = "demo";

/** Where to look for models besides the usual places. */
export interface ModelSearch {
  env?: NodeJS.ProcessEnv;
  /** Model folders, or folders of models; looked at first. */
  folders?: string[];
}

/** Whether a name can only be a path. */
export function looksLikePath(name: string): boolean {
  return (
    isAbsolute(name) ||
    /^(?:\.{1,2}|~)(?:[/\\]|$)/.test(name) ||
    (sep === "\\" && name.includes(sep))
  );
}
