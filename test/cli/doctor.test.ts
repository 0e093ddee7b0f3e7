import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommonOptions } from "../../src/cli/flags.js";
import { runDoctor } from "../../src/cli/doctor.js";
import type { Diagnosis } from "../../src/index.js";
import { FakeIo } from "../helpers/fake-io.js";
import { runCli } from "../helpers/run-cli.js";

jest.setTimeout(60_000);

let mockDiagnosis: Diagnosis;

jest.mock("../../src/index.js", () => ({ diagnose: async () => mockDiagnosis }));

const options: CommonOptions = { sources: { flags: {} }, json: false, verbose: false };

beforeEach(() => {
  mockDiagnosis = {
    healthy: true,
    version: "1.2.3",
    machine: {
      platform: "darwin-arm64",
      system: "macOS 15.3",
      chip: "Apple M4",
      cores: 10,
      memory: 16e9,
      node: "22.12.0",
      rosetta: false,
    },
    addon: {
      path: "/addon.node",
      mlx: "0.32.2",
      mlxC: "0.6.0",
      llguidance: "1.9.1",
      device: { type: "gpu", name: "Apple M4", memorySize: 16e9 },
      memoryLimit: 12e9,
    },
    providers: [
      {
        provider: "mlx",
        healthy: true,
        reachable: true,
        version: "0.32.2",
        device: { type: "gpu", name: "Apple M4", memorySize: 16e9 },
        latencyMs: 80,
      },
      {
        provider: "ollama",
        healthy: false,
        reachable: false,
        url: "http://localhost:11434",
        latencyMs: 2,
        code: "connection_refused",
        reason: "It refused the connection.",
        hint: "Start it.",
      },
    ],
    files: [{ path: "/home/config.json", found: true, used: true }],
    caches: [
      { name: "the Hugging Face cache", folder: "/home/hub", bytes: 1.5e9 },
      { name: "LM Studio's models", folder: "/home/lms" },
    ],
    warnings: ["one thing"],
  };
});

test("everything is told, and what to do about what is wrong", async () => {
  const io = new FakeIo();
  expect(await runDoctor(options, io)).toBe(0);
  expect(io.stderr.text).toBe("warning: one thing\n");
  expect(io.stdout.text).toBe(`llm-client 1.2.3
  system: macOS 15.3, darwin-arm64
  chip: Apple M4, 10 cores
  memory: 16.0 GB
  Node: 22.12.0

mlx: ready
  reachable: yes
  version: 0.32.2
  device: gpu (Apple M4, 16.0 GB)
  checked in: 80 ms
  addon: /addon.node
  mlx-c: 0.6.0
  grammars: llguidance 1.9.1
  memory for models: 12.0 GB

ollama: not usable
  address: http://localhost:11434
  reachable: no
  checked in: 2 ms
  reason: It refused the connection.
  hint: Start it.

configuration
  /home/config.json: used

models
  /home/hub: 1.5 GB
  /home/lms: not there
`);
});

test("Intel code on Apple silicon and a build without grammars are named", async () => {
  const { machine, addon } = mockDiagnosis;
  mockDiagnosis.machine = { ...machine, rosetta: true };
  mockDiagnosis.addon = { ...addon!, llguidance: undefined };
  const io = new FakeIo();
  await runDoctor(options, io);
  expect(io.stdout.text).toContain("chip: Apple M4, 10 cores, under Rosetta\n");
  expect(io.stdout.text).toContain("grammars: left out\n");
});

test("it ends with 3 where nothing can be used", async () => {
  mockDiagnosis = {
    ...mockDiagnosis,
    healthy: false,
    providers: mockDiagnosis.providers.slice(1),
  };
  expect(await runDoctor(options, new FakeIo())).toBe(3);
});

test("it ends with 2 where the configuration is wrong, which it tells", async () => {
  mockDiagnosis.misconfigured = { message: "timeout is wrong", hint: "Write a number." };
  const io = new FakeIo();
  expect(await runDoctor(options, io)).toBe(2);
  expect(io.stdout.text).toContain(
    "configuration\n  reason: timeout is wrong\n  hint: Write a number.\n",
  );
});

test("--json prints the whole of it", async () => {
  const io = new FakeIo();
  await runDoctor({ ...options, json: true }, io);
  expect(JSON.parse(io.stdout.text)).toEqual(mockDiagnosis);
});

test("the built command finds a wrong configuration file, and looks at the rest", async () => {
  const home = mkdtempSync(join(tmpdir(), "doctor-"));
  const file = join(home, "config.json");
  writeFileSync(file, "{");
  const env = { HOME: home, OLLAMA_HOST: "127.0.0.1:1" };
  const { code, stdout } = await runCli(["doctor", "--json", "--config", file], { env });
  rmSync(home, { recursive: true });
  const diagnosis = JSON.parse(stdout) as Diagnosis;
  expect(code).toBe(2);
  expect(diagnosis.misconfigured?.message).toContain("config.json");
  expect(diagnosis.machine.node).toBe(process.versions.node);
  expect(diagnosis.caches).toContainEqual({
    name: "the Hugging Face cache",
    folder: join(home, ".cache", "huggingface", "hub"),
  });
});
