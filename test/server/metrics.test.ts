import { readPage, tableUnder } from "../helpers/markdown.js";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer;
beforeEach(async () => {
  running = await startServer();
});
afterEach(() => running.stop());

const chat = { model: "m", messages: [{ role: "user", content: "Hello" }] };

/** The numbers of all metrics of the server's own. */
async function metrics(): Promise<Record<string, number>> {
  const text = await (await running.ask("/metrics")).text();
  const lines = text.split("\n").filter((line) => line.startsWith("llm_client_"));
  return Object.fromEntries(
    lines.map((line) => {
      const [, name, value] = /^(.*) (\S+)$/.exec(line)!;
      return [name!, Number(value)];
    }),
  );
}

test("counts requests, tokens and times", async () => {
  await (await running.ask("/v1/chat/completions", chat)).text();
  await (await running.ask("/v1/chat/completions", { ...chat, stream: true })).text();
  await (await running.ask("/v1/chat/completions", { ...chat, model: "none" })).text();
  await (await running.ask("/some/path?that=nobody&has")).text();
  const counts = await metrics();
  const route = 'route="/v1/chat/completions"';
  expect(counts).toMatchObject({
    [`llm_client_requests_total{${route},status="200"}`]: 2,
    [`llm_client_requests_total{${route},status="404"}`]: 1,
    'llm_client_requests_total{route="*",status="404"}': 1,
    'llm_client_tokens_total{kind="completion",provider="ollama",model="m"}': 12,
    [`llm_client_request_duration_seconds_count{${route}}`]: 3,
    'llm_client_first_token_seconds_count{provider="ollama",model="m"}': 2,
    llm_client_requests_running: 0,
  });
});

test("are all told in the docs", async () => {
  const text = await (await running.ask("/metrics")).text();
  const names = [...text.matchAll(/^# TYPE (llm_client_\w+)/gm)].map(([, name]) => name!);
  const told = tableUnder("docs/serve.md", "Metrics").rows.flatMap(([cell]) =>
    [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
  );
  expect(told.sort()).toEqual(names.sort());
  for (const name of ["process_resident_memory_bytes", "nodejs_eventloop_lag_p99_seconds"]) {
    expect(readPage("docs/serve.md")).toContain(name);
    expect(text).toContain(name);
  }
});
