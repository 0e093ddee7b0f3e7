import { fileURLToPath } from "node:url";
import { describeNative } from "./helpers/native.js";
import { runCli } from "./helpers/run-cli.js";

// Each test starts several processes.
jest.setTimeout(60_000);

const example = (name: string) => fileURLToPath(new URL(`../examples/${name}`, import.meta.url));

describeNative("examples", () => {
  test("generate.mjs prints the answer", async () => {
    const result = await runCli(["What is 7 + 5?"], { file: example("generate.mjs") });
    expect(result).toMatchObject({ code: 0, signal: null });
    expect(result.stdout).toContain("12");
    expect(result.stderr).toMatch(/^\d+ tokens, the first after [\d.]+ ms\n$/);
  });

  test("stream.mjs prints the answer, or its beginning when time is up", async () => {
    const whole = await runCli(["Hello", "30000"], { file: example("stream.mjs") });
    expect(whole).toMatchObject({ code: 0, stderr: "\nfinished by stop\n" });
    expect(whole.stdout).not.toBe("");
    const ended = await runCli(["Hello", "1"], { file: example("stream.mjs") });
    expect(ended.code).toBe(0);
    expect(ended.stderr).toContain("ended after 1 ms");
  });

  test("conversation.cjs takes several turns through require", async () => {
    const { code, stdout } = await runCli([], { file: example("conversation.cjs") });
    expect(code).toBe(0);
    expect(stdout).toContain("> What is the capital of France?\n");
    expect(stdout).toContain("Paris");
  });
});
