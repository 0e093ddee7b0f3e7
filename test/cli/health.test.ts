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

const options: CommonOptions = { sources: { flags: {} }, json: false, verbose: false };

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
  expect(parsed?.sources).toEqual({ flags: { provider: "mlx", model: "tiny" } });
});

test("a healthy provider is reported and ends with 0", async () => {
  const io = new FakeIo();
  expect(await runHealth(options, io)).toBe(0);
  expect(io.stdout.text).toBe(
    "mlx: ready\n" +
      "  reachable: yes\n" +
      "  version: 0.32.2\n" +
      "  device: gpu (Apple M4, 16.0 GB)\n" +
      "  model: demo\n" +
      "  checked in: 42 ms\n",
  );
});

test("everything that is known of a server is told", async () => {
  const server = {
    provider: "ollama",
    healthy: true,
    reachable: true,
    authenticated: true,
    url: "http://localhost:11434",
    version: "0.17.4",
    model: "tiny:latest",
    modelPresent: true,
    modelLoaded: false,
    latencyMs: 3.2,
    breaker: { state: "half-open", failures: 2, code: "connection_refused" },
  } as const;
  const refused = { ...server, healthy: false, authenticated: false, modelPresent: false };
  mockReport = { healthy: true, providers: [server, { ...refused, breaker: undefined }] };
  const io = new FakeIo();
  await runHealth(options, io);
  expect(io.stdout.text).toBe(
    "ollama: ready\n" +
      "  address: http://localhost:11434\n" +
      "  reachable: yes\n" +
      "  authenticated: yes\n" +
      "  version: 0.17.4\n" +
      "  model: tiny:latest, not loaded\n" +
      "  breaker: half-open after 2 failures, the last one connection_refused\n" +
      "  checked in: 3 ms\n" +
      "ollama: not usable\n" +
      "  address: http://localhost:11434\n" +
      "  reachable: yes\n" +
      "  authenticated: no\n" +
      "  version: 0.17.4\n" +
      "  model: tiny:latest, not there\n" +
      "  checked in: 3 ms\n",
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
      "  reachable: no\n" +
      "  checked in: 1 ms\n" +
      "  reason: There is no addon for this machine.\n" +
      "  hint: Run npm run build:native.\n",
  );
});

test("--json prints the report", async () => {
  const io = new FakeIo();
  await runHealth({ ...options, json: true }, io);
  expect(JSON.parse(io.stdout.text)).toEqual(mockReport);
});
