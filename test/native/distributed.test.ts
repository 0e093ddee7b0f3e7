import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NativeGroup } from "../../src/mlx/native-types.js";
import { fixtureFolder, readGolden, readJson, weightFilesOf } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { writeHostFile } from "../helpers/peers.js";
import { startProgram } from "../helpers/run-program.js";

interface Job {
  folder: string;
  prompt: number[];
  sampling?: object;
  alone?: boolean;
  cancelAfter?: number;
}

interface Ending {
  tokens?: number[];
  finishReason?: string;
  bytes?: number;
  code?: string;
}

const shareable = [
  ...["llama", "llama-bias", "llama-bfloat16", "mistral", "qwen3", "qwen3-untied"],
  ...["qwen3_moe-wide", "quantized-mxfp4", "quantized-nvfp4"],
];
const endless = { maxTokens: 1_000_000 };

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "peers-"));
});
afterAll(() => rm(scratch, { recursive: true }));

function job(name: string, more: Partial<Job> = {}): Job {
  return { folder: fixtureFolder(name), prompt: [...readGolden(name).prompt], ...more };
}

/** Starts a process for each list of jobs. */
async function startPeers(...jobs: Job[][]) {
  const hostFile = await writeHostFile(scratch, jobs.length);
  return jobs.map((own, rank) => {
    const program = startProgram(
      "share-models.mjs",
      ...[hostFile, String(rank), JSON.stringify(own)],
    );
    return { child: program.child, endings: program.result.then(({ stdout }) => read(stdout)) };
  });
}

function read(stdout: string): Ending[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Ending);
}

async function endingsOf(...jobs: Job[][]): Promise<Ending[][]> {
  return Promise.all((await startPeers(...jobs)).map(({ endings }) => endings));
}

describeNative("a model that two processes share", (addon) => {
  test("gives the greedy reply of mlx-lm, and each has a part of it", async () => {
    const jobs = shareable.map((name) => job(name));
    const [first, second] = await endingsOf(jobs, jobs);
    for (const [index, name] of shareable.entries()) {
      const { weightBytes } = await addon.measure(
        readJson(fixtureFolder(name), "config.json"),
        weightFilesOf(fixtureFolder(name)),
      );
      const tokens = readGolden(name).greedy.slice(0, 16);
      expect([name, first![index]?.tokens, second![index]?.tokens]).toEqual([name, tokens, tokens]);
      expect(first![index]?.bytes).toBeLessThan(0.85 * weightBytes);
    }
  }, 60_000);

  test("draws the same tokens in both, seed or not", async () => {
    const sampling = { temperature: 1, logprobs: true, topLogprobs: 2 };
    const jobs = [job("llama", { sampling }), job("llama", { sampling: { ...sampling, seed: 3 } })];
    const [first, second] = await endingsOf(jobs, jobs);
    expect(first!.map(({ tokens }) => tokens?.length)).toEqual([16, 16]);
    expect(first).toEqual(second);
  }, 30_000);

  test("ends in both when it is cancelled in one, and can be used again", async () => {
    const long = job("qwen3", { sampling: endless });
    const again = job("qwen3");
    const [first, second] = await endingsOf([long, again], [{ ...long, cancelAfter: 5 }, again]);
    expect([first![0]?.finishReason, second![0]?.finishReason]).toEqual(["cancelled", "cancelled"]);
    expect(first![0]?.tokens?.length).toBe(second![0]?.tokens?.length);
    expect(first![1]?.tokens).toEqual(readGolden("qwen3").greedy.slice(0, 16));
  }, 30_000);

  test("fails when both are asked different things", async () => {
    const sampling = { digest: 1 };
    const [first, second] = await endingsOf(
      [job("qwen3", { sampling })],
      [job("qwen3", { sampling: { digest: 2 } })],
    );
    expect([first![0]?.code, second![0]?.code]).toEqual(["peer_mismatch", "peer_mismatch"]);
  }, 30_000);

  test.each([0, 1])(
    "fails in the other at once when process %d is killed",
    async (victim) => {
      const jobs = [
        job("qwen3", { sampling: endless }),
        job("qwen3"),
        job("llama", { alone: true }),
      ];
      const peers = await startPeers(jobs, jobs);
      const { child, endings } = peers[1 - victim]!;
      await new Promise((resolve) => child.stderr?.once("data", resolve));
      const killedAt = performance.now();
      peers[victim]!.child.kill("SIGKILL");
      const [broken, shared, alone] = await endings;
      expect([broken?.code, shared?.code]).toEqual(["peer_lost", "peer_lost"]);
      // The process survives, and what is not shared goes on.
      expect(alone?.tokens).toEqual(readGolden("llama").greedy.slice(0, 16));
      expect(performance.now() - killedAt).toBeLessThan(10_000);
    },
    30_000,
  );
});

describeNative("a model that processes cannot share", (addon) => {
  const group: NativeGroup = { backend: "ring", rank: 0, size: 2, ports: [], nextPorts: [] };

  test.each([
    ["qwen3-wide", '"num_key_value_heads" is 1, which 2 processes cannot share'],
    ["quantized-affine-4", "has 128 columns, quantized in groups of 128, which 2 processes cannot"],
    ["gemma2", 'models of the kind "gemma2" cannot be shared'],
  ])("is refused by name: %s", async (name, message) => {
    const folder = fixtureFolder(name);
    const config = readJson(folder, "config.json");
    const measuring = addon.measure(config, weightFilesOf(folder), undefined, group);
    await expect(measuring).rejects.toMatchObject({
      code: "cannot_shard",
      message: expect.stringContaining(message),
    });
  });

  test("takes a part of the memory, which is told without the others", async () => {
    const folder = fixtureFolder("llama");
    const given = [readJson(folder, "config.json"), weightFilesOf(folder), undefined] as const;
    const [whole, part] = [await addon.measure(...given), await addon.measure(...given, group)];
    expect(part.weightBytes).toBeLessThan(whole.weightBytes);
    expect(part.layers[0]?.bytesPerToken).toBe(whole.layers[0]!.bytesPerToken / 2);
  });
});
