import type { CommonOptions } from "./flags.js";

/** The provider that keeps models: the one that was named anywhere, else mlx. */
export async function keeperOf(
  sources: CommonOptions["sources"],
): Promise<CommonOptions["sources"]> {
  const { explainConfig } = await import("../index.js");
  const { fields } = explainConfig({}, sources);
  const isAuto = fields.some(({ field, value }) => field === "provider" && value === "auto");
  return isAuto ? { ...sources, flags: { ...sources.flags, provider: "mlx" } } : sources;
}
