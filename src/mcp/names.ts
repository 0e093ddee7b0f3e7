import type { McpTool } from "./index.js";

/** What models and their servers take for the name of a function. */
const MAX_LENGTH = 64;

/** Gives every tool a name of its own: with its server's before it only where two servers clash. */
export function nameTools(found: (McpTool | string)[]): { tools: McpTool[]; warnings: string[] } {
  const warnings = found.filter((each) => typeof each === "string");
  const all = found.filter((each) => typeof each !== "string");
  const counts = new Map<string, number>();
  for (const { name } of all) counts.set(plain(name), (counts.get(plain(name)) ?? 0) + 1);
  const taken = new Set<string>();
  const tools = all.flatMap((tool) => {
    const isShared = counts.get(plain(tool.name))! > 1;
    const name = plain(isShared ? `${tool.server}_${tool.name}` : tool.name);
    if (taken.has(name) || name === "") {
      warnings.push(`${tool.server}: the tool "${tool.name}" is left out: its name is not its own`);
      return [];
    }
    taken.add(name);
    return [{ ...tool, name }];
  });
  return { tools, warnings };
}

function plain(name: string): string {
  return name.replace(/[^\w-]/g, "_").slice(0, MAX_LENGTH);
}
