import { AbortError, ModelNotFoundError } from "../../src/errors.js";
import { pullModel } from "../../src/ollama/pull.js";
import { OllamaServer } from "../../src/ollama/server.js";
import type { PullProgress } from "../../src/types.js";
import { failureOf } from "../contracts/provider-contract.js";
import { type FakeOllama, startFakeOllama } from "../servers/fake-ollama.js";

let fake: FakeOllama;
let server: OllamaServer;

beforeEach(async () => {
  fake = await startFakeOllama();
  server = new OllamaServer({ baseUrl: fake.url, connectTimeout: 3, verifySsl: true });
});

afterEach(async () => {
  await server.close();
  await fake.close();
});

async function pull(model: string): Promise<PullProgress[]> {
  const progress: PullProgress[] = [];
  const { signal } = new AbortController();
  for await (const step of pullModel(server, model, signal)) progress.push(step);
  return progress;
}

describe("pulling a model", () => {
  test("tells how far it has come", async () => {
    const progress = await pull("new");
    expect(progress.map(({ status }) => status)).toEqual([
      "pulling manifest",
      "pulling 5e5e5e5e5e5e",
      "pulling 5e5e5e5e5e5e",
      "pulling 5e5e5e5e5e5e",
      "verifying sha256 digest",
      "writing manifest",
      "success",
    ]);
    expect(progress[2]).toMatchObject({ total: 1000, completed: 400 });
    expect(progress[2]!.digest).toMatch(/^sha256:5e/);
    expect(fake.models.find("new")).toBeDefined();
  });

  test("of an unknown name fails with what the server says", async () => {
    const error = await failureOf(pull("missing"));
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error).toMatchObject({ model: "missing" });
    expect(error.message).toContain("file does not exist");
  });

  test("fails where it ends before its end", async () => {
    fake.fault("eof", { on: "/api/pull" });
    expect(await failureOf(pull("new"))).toMatchObject({
      code: "stream_truncated",
      message: 'The download of "new" ended before its end.',
      hint: expect.stringContaining("Pull it again"),
    });
  });

  test("ends the download when it is aborted", async () => {
    fake.fault("silence", { on: "/api/pull" });
    const controller = new AbortController();
    const pulling = async () => {
      for await (const _step of pullModel(server, "new", controller.signal)) controller.abort();
    };
    expect(await failureOf(pulling())).toBeInstanceOf(AbortError);
    await fake.disconnectCount(1);
  });
});
