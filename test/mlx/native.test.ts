import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { arch, platform, release, tmpdir } from "node:os";
import { join } from "node:path";
import { ProviderUnavailableError } from "../../src/errors.js";
import { machineProblem } from "../../src/mlx/machine.js";
import { nativeAvailability } from "../../src/mlx/native.js";

test("availability is an answer, never an exception", () => {
  const availability = nativeAvailability();
  if (availability.ok) {
    expect(availability.path).toMatch(/mlx-llm-client\.node$/);
  } else {
    expect(availability.message).not.toBe("");
    expect(availability.hint).not.toBe("");
  }
});

const canRunHere = !machineProblem({
  platform: platform(),
  arch: arch(),
  release: release(),
  translated: false,
});
const describeHere = canRunHere ? describe : describe.skip;

describeHere(
  `the addon${canRunHere ? "" : " (skipped: MLX does not run on this platform)"}`,
  () => {
    let folder: string;

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), "addon-"));
      // node-gyp-build looks there instead of in the package.
      process.env.MLX_LLM_CLIENT_PREBUILD = folder;
    });
    afterEach(() => {
      delete process.env.MLX_LLM_CLIENT_PREBUILD;
      rmSync(folder, { recursive: true });
    });

    async function freshModule() {
      let fresh: typeof import("../../src/mlx/native.js") | undefined;
      await jest.isolateModulesAsync(async () => {
        fresh = await import("../../src/mlx/native.js");
      });
      if (!fresh) throw new Error("the module did not load");
      return fresh;
    }

    test("that is not there is reported with how to build it", async () => {
      const { nativeAvailability, loadNative } = await freshModule();
      expect(nativeAvailability()).toMatchObject({ ok: false, reason: "binary-missing" });
      const error = thrownBy(loadNative);
      expect(ProviderUnavailableError.is(error)).toBe(true);
      expect(error).toMatchObject({
        message: `The MLX addon for ${platform()}-${arch()} is not installed`,
        provider: "mlx",
        hint: expect.stringContaining("npm run build:native"),
      });
    });

    test("that does not load is reported with its path and the linker's reason", async () => {
      const release = join(folder, "build", "Release");
      mkdirSync(release, { recursive: true });
      const file = join(release, "mlx-llm-client.node");
      writeFileSync(file, "not a library");
      const { nativeAvailability, loadNative } = await freshModule();
      expect(nativeAvailability()).toMatchObject({
        ok: false,
        reason: "load-failed",
        message: expect.stringContaining(file),
      });
      const error = thrownBy(loadNative);
      expect(ProviderUnavailableError.is(error)).toBe(true);
      expect(error).toHaveProperty("cause");
    });
  },
);

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}
