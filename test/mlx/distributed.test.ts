import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigurationError } from "../../src/errors.js";
import { digestOf, readGroup, takeTurn } from "../../src/mlx/distributed.js";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "hosts-"));
});
afterAll(() => rm(scratch, { recursive: true }));

async function hostFile(content: unknown): Promise<string> {
  const file = join(scratch, "hosts.json");
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  return file;
}

const ring = [["10.0.0.1:5000", "10.0.0.1:5001"], ["10.0.0.2:5002", "10.0.0.2:5003"], ["[::1]:9"]];

describe("the processes that share a model", () => {
  test("are those of the host file, in a ring", async () => {
    const MLX_HOSTFILE = await hostFile(ring);
    expect(await readGroup({ MLX_HOSTFILE, MLX_RANK: "1" })).toEqual({
      backend: "ring",
      rank: 1,
      size: 3,
      ports: [5002, 5003],
      nextPorts: [9],
    });
    const last = await readGroup({ MLX_HOSTFILE, MLX_RANK: "2" });
    expect(last).toMatchObject({ ports: [9], nextPorts: [5000, 5001] });
  });

  test("are those that Thunderbolt connects", async () => {
    const MLX_IBV_DEVICES = await hostFile([
      [null, "rdma_en2"],
      ["rdma_en3", null],
    ]);
    const environment = { MLX_IBV_DEVICES, MLX_RANK: "1" };
    const group = await readGroup({ ...environment, MLX_JACCL_COORDINATOR: "10.0.0.1:5000" });
    expect(group).toEqual({ backend: "jaccl", rank: 1, size: 2, ports: [], nextPorts: [] });
    await expect(readGroup(environment)).rejects.toThrow("MLX_JACCL_COORDINATOR is not set.");
  });

  test.each(["\n", [["10.0.0.1:5000"]]])(
    "are none where there is one host: %j",
    async (content) => {
      expect(await readGroup({ MLX_HOSTFILE: await hostFile(content), MLX_RANK: "0" })).toBe(
        undefined,
      );
    },
  );

  test.each([
    [undefined, "MLX_RANK is not set, but must be a whole number from 0 to 2."],
    ["3", 'MLX_RANK is "3", but must be a whole number from 0 to 2.'],
    ["-1", 'MLX_RANK is "-1", but must be a whole number from 0 to 2.'],
    ["first", 'MLX_RANK is "first", but must be a whole number from 0 to 2.'],
  ])("are refused with the rank %s", async (MLX_RANK, message) => {
    const refused = readGroup({ MLX_HOSTFILE: await hostFile(ring), MLX_RANK });
    await expect(refused).rejects.toThrow(new ConfigurationError(message));
  });

  test.each([
    ["{", "which cannot be read as JSON: "],
    [{ hosts: [] }, 'in which it is {"hosts":[]}, but must be a list of hosts.'],
    [["10.0.0.1:1"], 'in which [0] is "10.0.0.1:1", but must be a list of "address:port".'],
    [[["10.0.0.1:1"], []], 'in which [1] is [], but must be a list of "address:port".'],
    [[["10.0.0.1:1"], ["x:"]], 'in which [1][0] is "x:", but must be "address:port".'],
  ])("are refused with the host file %j", async (content, message) => {
    const MLX_HOSTFILE = await hostFile(content);
    const refused = readGroup({ MLX_HOSTFILE, MLX_RANK: "0" });
    await expect(refused).rejects.toMatchObject({
      code: "configuration",
      message: expect.stringContaining(`MLX_HOSTFILE names ${MLX_HOSTFILE}, ${message}`),
      hint: expect.stringContaining("mlx.launch"),
    });
  });

  test("are refused where nothing names them", async () => {
    await expect(readGroup({})).rejects.toThrow("Neither MLX_HOSTFILE nor MLX_IBV_DEVICES is set.");
  });
});

test("what was given is told by a small number", () => {
  expect(digestOf([1, 2], { a: 1 })).toBe(digestOf([1, 2], { a: 1 }));
  expect(digestOf([1, 2], { a: 1 })).not.toBe(digestOf([1, 2], { a: 2 }));
  for (let given = 0; given < 100; given++) expect(digestOf(given)).toBeLessThan(2 ** 31);
});

describe("turns", () => {
  const { signal } = new AbortController();

  test("come in the order in which they were asked for", async () => {
    const order: string[] = [];
    const endFirst = await takeTurn(signal);
    const second = takeTurn(signal).then((end) => [order.push("second"), end()]);
    const third = takeTurn(signal).then((end) => [order.push("third"), end()]);
    order.push("first");
    endFirst();
    await Promise.all([second, third]);
    expect(order).toEqual(["first", "second", "third"]);
  });

  test("are left out by who no longer waits", async () => {
    const impatient = new AbortController();
    const endFirst = await takeTurn(signal);
    const second = takeTurn(impatient.signal);
    const third = takeTurn(signal);
    impatient.abort(new Error("no more"));
    await expect(second).rejects.toThrow("no more");
    endFirst();
    (await third)();
  });
});
