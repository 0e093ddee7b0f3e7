import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modelsFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { writeHostFile } from "../helpers/peers.js";
import { type CliOptions, runCli } from "../helpers/run-cli.js";

const generate = ["generate", "-m", "demo", "-t", "0"];
const question = "What is 7 + 5?";

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "peers-"));
});
afterAll(() => rm(scratch, { recursive: true }));

describeNative("generate --distributed", () => {
  test("prints once what the processes of mlx.launch generate together", async () => {
    const MLX_HOSTFILE = await writeHostFile(scratch);
    const args = [...generate, "--distributed", "--usage", question];
    // As mlx.launch leaves stdin.
    const start = (MLX_RANK: string) =>
      runCli(args, { openStdin: true, env: { MLX_HOSTFILE, MLX_RANK } });
    const [alone, first, second] = await Promise.all([
      runCli([...generate, question]),
      start("0"),
      start("1"),
    ]);
    expect([alone.code, alone.stdout]).toEqual([0, "7 + 5 = 12.\n"]);
    expect([first.code, first.stdout]).toEqual([0, alone.stdout]);
    expect(first.stderr).toContain("16 prompt tokens");
    expect(second).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
  }, 30_000);

  test("ends by the time limit when another process no longer answers", async () => {
    const MLX_HOSTFILE = await writeHostFile(scratch);
    const args = ["generate", "-m", "demo", "--raw", "-t", "1", "--distributed"];
    const endless = [...args, "--max-tokens", "1000", "Once upon a time"];
    let frozen: Parameters<NonNullable<CliOptions["with"]>>[0] | undefined;
    const second = runCli(endless, {
      env: { MLX_HOSTFILE, MLX_RANK: "1" },
      with: (child) => {
        frozen = child;
      },
    });
    const first = await runCli([...endless, "--timeout", "5"], {
      env: { MLX_HOSTFILE, MLX_RANK: "0" },
      with: (child) => child.stdout?.once("data", () => frozen?.kill("SIGSTOP")),
    });
    frozen?.kill("SIGCONT");
    expect([first.code, first.stderr]).toEqual([7, expect.stringContaining("came for 5 s")]);
    const { code, stderr } = await second;
    expect([code, stderr]).toEqual([8, expect.stringContaining("another process was lost")]);
  }, 40_000);

  test("ends by the time limit when the others do not come", async () => {
    const env = { MLX_HOSTFILE: await writeHostFile(scratch), MLX_RANK: "0" };
    const args = [...generate, "--distributed", "--timeout", "1", question];
    const { code, stderr } = await runCli(args, { env });
    expect([code, stderr]).toEqual([7, expect.stringContaining("No content came for 1 s.")]);
  });

  test("names the variable that is wrong", async () => {
    const env = { MLX_HOSTFILE: await writeHostFile(scratch), MLX_RANK: "2" };
    const { code, stderr } = await runCli([...generate, "--distributed", question], { env });
    expect([code, stderr]).toEqual([2, expect.stringContaining('MLX_RANK is "2"')]);
  });

  test("is refused with an adapter", async () => {
    const adapter = join(modelsFolder, "../adapters/lora");
    const args = [...generate, "--distributed", "--adapter", adapter, question];
    const { code, stderr } = await runCli(args);
    const message = "adapter is not for a model that processes share";
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  });

  test("is refused beside a provider that has none", async () => {
    const args = ["generate", "-p", "ollama", "--distributed", question];
    const { code, stderr } = await runCli(args);
    expect([code, stderr]).toEqual([2, expect.stringContaining("--distributed: only mlx can do")]);
  });
});
