import { readdirSync } from "node:fs";
import { join } from "node:path";
import { FAULT_NAMES } from "../servers/faults.js";

const groups = readdirSync(join(__dirname, "../servers/faults"))
  .map((file) => file.replace(/\.ts$/, ""))
  // What the groups are made of.
  .filter((name) => name !== "fault");

test("every group of faults has its matrix", () => {
  const files = readdirSync(__dirname);
  expect(files).toEqual(expect.arrayContaining(groups.map((name) => `${name}.test.ts`)));
});

test("every fault is in one of these groups", async () => {
  const modules = await Promise.all(
    groups.map((name) => import(`../servers/faults/${name}.js`) as Promise<object>),
  );
  const names = modules.flatMap(Object.values).flatMap((faults: object) => Object.keys(faults));
  expect(names.sort()).toEqual([...FAULT_NAMES].sort());
});
