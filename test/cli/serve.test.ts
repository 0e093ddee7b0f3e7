import type { ChildProcess } from "node:child_process";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { runServe, type ServeOptions, serveCommand } from "../../src/cli/serve.js";
import { FakeIo } from "../helpers/fake-io.js";
import { readPage } from "../helpers/markdown.js";
import { describeNative } from "../helpers/native.js";
import { parseCommand } from "../helpers/parse-command.js";
import { type CliResult, runCli } from "../helpers/run-cli.js";

test("reads its flags", async () => {
  const { options } = await parseCommand<ServeOptions>(serveCommand, [
    ...["-m", "demo", "--host", "::1", "--port", "0", "--token", "k", "--max-queued", "0"],
    ...["--allow-origin", "http://a", "--allow-origin", "http://b", "--drain-timeout", "0.5"],
  ]);
  expect(options?.sources.flags.model).toBe("demo");
  expect(options?.server).toMatchObject({
    host: "::1",
    port: 0,
    token: "k",
    maxQueued: 0,
    allowOrigins: ["http://a", "http://b"],
    drainTimeout: 0.5,
  });
});

test("takes the token of the environment", async () => {
  process.env.LLM_CLIENT_SERVE_TOKEN = "from-env";
  try {
    const { options } = await parseCommand<ServeOptions>(serveCommand, []);
    expect(options?.server.token).toBe("from-env");
  } finally {
    delete process.env.LLM_CLIENT_SERVE_TOKEN;
  }
});

test.each([
  [["--port", "70000"], "--port must be a whole number from 0 to 65535"],
  [["--keep-alive", "0"], "--keep-alive must be a number above 0"],
])("refuses %j", async (args, refusal) => {
  expect((await parseCommand(serveCommand, args)).refusal).toContain(refusal);
});

test("tells where it listens, and closes when it is told to", async () => {
  const io = new FakeIo();
  const sources = { env: {}, configFile: false as const, flags: {} };
  const options = { json: true, verbose: false, sources, server: { port: 0 } };
  const served = runServe(options, io);
  while (!io.stdout.text) await new Promise((resolve) => setTimeout(resolve, 5));
  const { url } = JSON.parse(io.stdout.text) as { url: string };
  expect(io.stderr.text).toBe(`Listening on ${url}\n`);
  expect((await fetch(`${url}/health`)).status).toBe(200);
  io.stop();
  await served;
  await expect(fetch(`${url}/health`)).rejects.toThrow();
});

test("says that its port is in use", async () => {
  const other = createHttpServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const { code, stderr } = await runCli(["serve", "--port", String(port)]);
  other.close();
  expect(code).toBe(2);
  expect(stderr).toMatch(/Cannot listen on 127\.0\.0\.1, port \d+: it is in use/);
});

test("does not listen beyond this machine without a token", async () => {
  const { code, stderr } = await runCli(["serve", "--host", "0.0.0.0"]);
  expect(code).toBe(2);
  expect(stderr).toContain("needs a token");
});

describeNative("the built command", () => {
  test.each(["SIGINT", "SIGTERM"] as const)("answers, and ends well at %s", async (signal) => {
    let answered: Promise<unknown> | undefined;
    const result: CliResult = await runCli(["serve", "-p", "mlx", "-m", "demo", "--port", "0"], {
      with(child) {
        child.stderr!.on("data", (text: string) => {
          const url = /Listening on (\S+)/.exec(text)?.[1];
          if (!url) return;
          answered = fetch(`${url}/v1/chat/completions`, {
            method: "POST",
            body: JSON.stringify({ messages: [{ role: "user", content: "What is 7 + 5?" }] }),
          })
            .then((response) => response.json())
            .finally(() => child.kill(signal));
        });
      },
    });
    expect(await answered).toMatchObject({
      model: "demo",
      choices: [{ message: { content: expect.stringContaining("12") } }],
    });
    expect(result.code).toBe(0);
    expect(result.stdout).toBe("");
    expect(result.stderr).not.toContain("7 + 5");
  });

  test("lets a reply under way end at SIGTERM", async () => {
    const { eos_token_id: eos } = JSON.parse(readPage("models/demo/config.json"));
    const body = {
      messages: [{ role: "user", content: "What is 7 + 5?" }],
      stream: true,
      max_tokens: 300,
      // What would end it is forbidden.
      logit_bias: Object.fromEntries([eos].flat().map((id) => [id, -100])),
    };
    let whole: Promise<string> | undefined;
    async function ask(url: string, child: ChildProcess) {
      const init = { method: "POST", body: JSON.stringify(body) };
      const response = await fetch(`${url}/v1/chat/completions`, init);
      let text = "";
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        if (text === "") child.kill("SIGTERM");
        text += chunk;
      }
      return text;
    }
    const { code } = await runCli(["serve", "-p", "mlx", "-m", "demo", "--port", "0"], {
      with(child) {
        child.stderr!.on("data", (text: string) => {
          const url = /Listening on (\S+)/.exec(text)?.[1];
          if (url) whole = ask(url, child);
        });
      },
    });
    expect(code).toBe(0);
    const text = await whole;
    expect(text).toContain('"finish_reason":"length"');
    expect(text).toContain("[DONE]");
  });
});
