import { fixtureFolder } from "../helpers/model-fixtures.js";
import { describeNative } from "../helpers/native.js";
import { runProgram } from "../helpers/run-program.js";

const folder = fixtureFolder("llama");
/** A thread that outlives what it works on crashes now and then only. */
const repeats = 8;

const endWhileBusy = (phase: string, ending: string) =>
  runProgram("end-while-busy.mjs", folder, phase, ending);

interface Memory {
  active: number;
  rss: number;
}

describeNative("the end of a process or a worker", () => {
  describe.each(["load", "prefill", "decode"])("during %s", (phase) => {
    test("process.exit ends the process with its code", async () => {
      for (let repeat = 0; repeat < repeats; repeat++) {
        const { code, signal, stderr } = await endWhileBusy(phase, "exit");
        expect({ code, signal, stderr }).toEqual({ code: 7, signal: null, stderr: "" });
      }
    }, 30_000);

    test("an uncaught error ends the process with code 1", async () => {
      for (let repeat = 0; repeat < repeats; repeat++) {
        const { code, signal, stderr } = await endWhileBusy(phase, "throw");
        expect({ code, signal }).toEqual({ code: 1, signal: null });
        expect(stderr).toContain("Error: on purpose");
      }
    }, 30_000);

    test("an unhandled SIGINT ends the process by that signal", async () => {
      const { code, signal } = await endWhileBusy(phase, "signal");
      expect({ code, signal }).toEqual({ code: null, signal: "SIGINT" });
    });
  });

  test("workers are terminated at any time while the main thread generates on", async () => {
    const { code, signal, stdout, stderr } = await runProgram("terminate-workers.mjs", folder);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
    const replies = JSON.parse(stdout) as string[];
    expect(replies).toHaveLength(6);
    expect(new Set(replies).size).toBe(1);
  });

  test("workers are terminated while they load the addon", async () => {
    const { code, signal, stderr } = await runProgram("terminate-starting-workers.mjs");
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
  }, 30_000);

  test("a process that closes nothing ends by itself", async () => {
    const { code, signal, stdout, stderr } = await runProgram("forget-to-close.mjs", folder);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
    expect(stdout).toBe("5\n");
  });

  test("a thousand aborted generations leave no memory behind", async () => {
    const { code, stdout, stderr } = await runProgram("abort-many.mjs", folder);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const { before, after, closed } = JSON.parse(stdout) as Record<string, Memory>;
    expect(after?.active).toBeLessThanOrEqual(before?.active as number);
    expect(closed?.active).toBe(0);
    expect((after?.rss as number) - (before?.rss as number)).toBeLessThan(30 << 20);
  }, 60_000);
});
