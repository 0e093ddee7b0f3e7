import type { FakeOllama } from "../servers/fake-ollama.js";
import { type FaultName, STAGES, type Stage } from "../servers/faults.js";
import type { Fault } from "../servers/faults/fault.js";
import { forEachOf, MANNERS, watchForUnhandledRejections } from "../helpers/client-calls.js";
import { type Cell, cellFor, type Row, type Table } from "./cells.js";
import { KIND_NAMES, KINDS } from "../servers/kinds.js";
import { expected, type Meeting, seen, startSecond } from "./run-cell.js";

/** Tests that each fault of a group has the consequences that its row tells. */
export function describeFaults<Group extends Record<string, Fault>>(
  group: Group,
  table: Table<Group>,
): void {
  let second: FakeOllama;
  beforeAll(async () => {
    second = await startSecond();
  });
  afterAll(() => second.close());
  watchForUnhandledRejections();

  const rows = Object.entries(table) as [FaultName, Row][];
  test.each(rows)("%s has a cell, or a reason, for each of its stages", (name, row) => {
    const stages = group[name]!.stages;
    const cells = Object.entries(row).filter(([, cells]) => typeof cells !== "string");
    expect(cells.map(([stage]) => stage).sort()).toEqual(
      stages.length > 0 ? [...stages].sort() : ["whole"],
    );
    const missing = STAGES.filter((stage) => !stages.includes(stage));
    if (stages.length > 0) for (const stage of missing) expect(row).toHaveProperty(stage);
  });

  const places = rows.flatMap(([name, row]) =>
    (Object.keys(row) as (Stage | "whole")[]).flatMap((stage) => {
      const cells = row[stage as keyof Row] as Row[keyof Row];
      return typeof cells === "string" ? [] : [{ name, stage, cells }];
    }),
  );
  test.each(places)("$name ($stage)", async ({ name, stage, cells }) => {
    const meetings = KIND_NAMES.flatMap((kind) => {
      const cell = cellFor(cells, kind);
      if (typeof cell === "string") return [];
      return MANNERS.flatMap((manner) =>
        [undefined, second].map((other) => ({
          cell,
          meeting: { fault: name, stage, kind, manner, second: other },
        })),
      );
    });
    const results = await forEachOf(meetings, meet);
    expect(results.map(([title, came]) => ({ title, ...came }))).toEqual(
      results.map(([title, , wanted]) => ({ title, ...wanted })),
    );
  });
}

async function meet({ cell, meeting }: { cell: Cell; meeting: Meeting }) {
  const { kind, manner, second } = meeting;
  const title = `${manner} with ${KINDS[kind].title}${second ? " and another" : " alone"}`;
  const wanted = expected(cell, meeting);
  const came = await seen(cell, meeting).catch((error: unknown) => {
    throw new Error(`${title}: ${String(error)}`, { cause: error });
  });
  return [title, came, wanted] as const;
}
