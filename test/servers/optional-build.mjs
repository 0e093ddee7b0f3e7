// What the builds of the genuine servers have in common.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { BuildError, main, say } from "../../scripts/native/tools.mjs";
import { reasonFile } from "./places.mjs";

/**
 * Runs a build that tests can do without. What it lacks is told, and kept for the titles of the
 * skipped tests; with --optional it is no failure.
 */
export function optionalBuild(name, server, build) {
  main(() => {
    mkdirSync(server.folder, { recursive: true });
    rmSync(reasonFile(server), { force: true });
    try {
      build();
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      // The last line is the summary; what a compiler said is above it.
      writeFileSync(reasonFile(server), error.message.trim().split("\n").at(-1));
      if (!process.argv.includes("--optional")) throw error;
      say(`${error.message}\nskipped: tests with ${name}`);
    }
  });
}
