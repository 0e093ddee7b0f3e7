#!/usr/bin/env node
import module from "node:module";
import { join } from "node:path";
import { readVersion } from "./version.js";

const [, , first, ...others] = process.argv;

if (["-V", "--version"].includes(first ?? "") && others.length === 0) {
  // Without all that reads other flags, because programs ask for it often.
  process.stdout.write(`${readVersion()}\n`);
} else {
  keepCompiled();
  await import("./session.js");
}

/** From Node 22 on, code need not be compiled again at every start. */
function keepCompiled(): void {
  const { HOME, XDG_CACHE_HOME = HOME && join(HOME, ".cache") } = process.env;
  const { enableCompileCache } = module as { enableCompileCache?(folder: string): unknown };
  // Not in the folder for all users that Node would take: others could put their code there.
  if (XDG_CACHE_HOME) enableCompileCache?.(join(XDG_CACHE_HOME, "llm-client"));
}
