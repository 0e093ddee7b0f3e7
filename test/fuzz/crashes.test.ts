import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TARGETS, tryInput } from "./targets.js";

describe.each(Object.entries(TARGETS))("%s", (name, target) => {
  const folder = join(__dirname, "crashes", name);
  const crashes = existsSync(folder) ? readdirSync(folder) : [];

  test("takes what it is made for", async () => {
    const ends = target.seeds().map(async (seed) => {
      await tryInput(target, seed);
      return target.read(seed);
    });
    const taken = (await Promise.allSettled(ends)).filter(({ status }) => status === "fulfilled");
    // Some of what servers sent are errors.
    expect(taken.length).toBeGreaterThan(ends.length / 2);
  });

  if (crashes.length > 0) {
    test.each(crashes)("takes or refuses what once broke it: %s", async (file) => {
      await tryInput(target, readFileSync(join(folder, file)));
    });
  }
});
