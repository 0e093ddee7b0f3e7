import type { CommonOptions } from "../../src/cli/flags.js";
import { healthCommand, runHealth } from "../../src/cli/health.js";
import type { HealthReport } from "../../src/index.js";
import { FakeIo } from "../helpers/fake-io.js";
import { parseCommand } from "../helpers/parse-command.js";

let mockReport: HealthReport;

jest.mock("../../src/index.js", () => ({
  LLMClient: class {
    health = async () => mockReport;
    async [Symbol.asyncDispose]() {}
  },
}));

const options: CommonOptions = { config: {}, json: false, verbose: false };

beforeEach(() => {
  mockReport = {
    healthy: true,
    providers: [
      {
        provider: "mlx",
        healthy: true,
        reachable: true,
        model: "demo",
        version: "0.32.2",
        device: { type: "gpu", name: "Apple M4", memorySize: 16e9 },
        latencyMs: 41.6,
      },
    ],
  };
});

test("the model to check is chosen as for all commands", async () => {
  const { options: parsed } = await parseCommand<CommonOptions>(healthCommand, ["-m", "mlx:tiny"]);
  expect(parsed?.config).toEqual({ provider: "mlx", model: "tiny" });
});

test("a healthy provider is reported and ends with 0", async () => {
  const io = new FakeIo();
  expect(await runHealth(options, io)).toBe(0);
  expect(io.stdout.text).toBe(
    "mlx: ready\n" +
      "  version: 0.32.2\n" +
      "  device: gpu (Apple M4, 16.0 GB)\n" +
      "  model: demo answered; checked in 42 ms\n",
  );
});

test("an unhealthy provider is reported with reason and hint and ends with 3", async () => {
  mockReport = {
    healthy: false,
    providers: [
      {
        provider: "mlx",
        healthy: false,
        reachable: false,
        latencyMs: 1,
        code: "provider_unavailable",
        reason: "There is no addon for this machine.",
        hint: "Run npm run build:native.",
      },
    ],
  };
  const io = new FakeIo();
  expect(await runHealth(options, io)).toBe(3);
  expect(io.stdout.text).toBe(
    "mlx: not usable\n" +
      "  reason: There is no addon for this machine.\n" +
      "  hint: Run npm run build:native.\n",
  );
});

test("--json prints the report", async () => {
  const io = new FakeIo();
  await runHealth({ ...options, json: true }, io);
  expect(JSON.parse(io.stdout.text)).toEqual(mockReport);
});
