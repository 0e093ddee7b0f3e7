import type { NativeAddon } from "../../src/mlx/native-types.js";
import { loadNative, nativeAvailability } from "../../src/mlx/native.js";

/** Describes what the addon does; where it cannot run, a skipped test says so and why. */
export function describeNative(name: string, body: (addon: NativeAddon) => void): void {
  const availability = nativeAvailability();
  if (availability.ok) {
    describe(name, () => body(loadNative()));
  } else {
    describe(name, () => test.skip(`is not tested: ${availability.message}`, () => {}));
  }
}

/** The file of the addon, for programs that load it themselves. */
export function addonFile(): string {
  const availability = nativeAvailability();
  if (!availability.ok) throw new Error(availability.message);
  return availability.path;
}
