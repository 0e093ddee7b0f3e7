// The addon itself, for what the package does not tell.
import { createRequire } from "node:module";
import { root } from "../scripts/native/tools.mjs";

/** Loads the addon that was built here. */
export function loadAddon() {
  return createRequire(import.meta.url)("node-gyp-build")(root);
}
