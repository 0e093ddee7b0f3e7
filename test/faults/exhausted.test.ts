import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { LLMClient, LLMError } from "../../src/index.js";
import { DEMO_FOLDER } from "../../src/mlx/model-places.js";
import { NO_SOURCES } from "../helpers/client-calls.js";
import { bytes, HubFolders, modelFiles } from "../helpers/hub-folders.js";
import { describeNative } from "../helpers/native.js";
import { CLI } from "../helpers/run-cli.js";
import { startFakeOllama } from "../servers/fake-ollama.js";

jest.setTimeout(120_000);

let scratch: string;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), "exhausted-"));
});
afterEach(() => rm(scratch, { recursive: true }));

/** Starts the command within limits of the shell; too large a file is then an error of its write. */
function limited(limit: string, args: string[], env: Record<string, string>) {
  const script = `trap "" XFSZ; ulimit ${limit}; exec "$0" "$@"`;
  return spawn("bash", ["-c", script, process.execPath, CLI, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function outcome(child: ReturnType<typeof limited>) {
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdout.resume();
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr };
}

/** In blocks of 1024 bytes. */
const FULL_AT = "-f 100";

describe("with a full disk", () => {
  test("a pull says so, and goes on when there is room", async () => {
    const files = { ...modelFiles(), "model.safetensors": bytes(300_000) };
    const folders = await HubFolders.create({ "org/tiny": { files } });
    try {
      const pull = (limit: string) => outcome(limited(limit, ["pull", "org/tiny"], folders.env));
      const full = await pull(FULL_AT);
      expect([full.code, full.stderr]).toEqual([1, expect.stringMatching(/EFBIG|full|too large/)]);
      expect(await pull("-f unlimited")).toMatchObject({ code: 0 });
    } finally {
      await folders.remove();
    }
  });

  describeNative("the engine", () => {
    test("says so when a model is converted, and leaves nothing", async () => {
      const target = join(scratch, "copy");
      const args = ["convert", DEMO_FOLDER, target];
      const { code, stderr } = await outcome(limited(FULL_AT, args, { HOME: scratch }));
      expect([code, stderr]).toEqual([1, expect.stringContaining(target)]);
      expect(await readdir(scratch)).toEqual([]);
    });

    test("answers without keeping its prompt", async () => {
      const folder = join(scratch, "kept");
      const flags = ["-m", "demo", "--max-tokens", "4", "--prompt-cache-folder", folder];
      const args = ["generate", "-p", "mlx", ...flags, "Name a river."];
      const { code } = await outcome(limited("-f 1", args, { HOME: scratch }));
      expect(code).toBe(0);
      const kept = (await readdir(folder)).filter((name) => name.endsWith(".safetensors"));
      expect(kept).toEqual([]);
    });
  });
});

test("a server whose files are used up answers again when some are free", async () => {
  const ollama = await startFakeOllama({ models: [{ name: "m" }] });
  const args = ["serve", "--port", "0", "--json", "-p", "ollama", "-u", ollama.url, "-m", "m"];
  const server = limited("-n 48", args, { HOME: scratch });
  server.stderr.resume();
  const sockets: Socket[] = [];
  try {
    const [line] = (await once(createInterface({ input: server.stdout }), "line")) as [string];
    const { url } = JSON.parse(line) as { url: string };
    for (let count = 0; count < 80; count++) {
      sockets.push(connect(Number(new URL(url).port), "127.0.0.1").on("error", () => {}));
    }
    await Promise.all(sockets.map((socket) => once(socket, "connect").catch(() => {})));
    for (const socket of sockets) socket.destroy();
    const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] });
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body });
    expect(response.status).toBe(200);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.kill("SIGKILL");
    await ollama.close();
  }
});

describeNative("a model whose folder is removed", () => {
  test("ends the reply under way, and then is not there", async () => {
    const model = join(scratch, "demo");
    await cp(DEMO_FOLDER, model, { recursive: true });
    await using client = new LLMClient({ provider: "mlx", model, maxRetries: 0 }, NO_SOURCES);
    const request = { messages: "Name a river.", maxTokens: 16, temperature: 0 };
    const { content } = await client.generate(request);
    const stream = client.stream(request);
    let said = "";
    for await (const event of stream) {
      if (event.type === "start") await rm(model, { recursive: true });
      if (event.type === "text") said += event.text;
    }
    expect(said).toBe(content);
    await expect(client.generate(request)).rejects.toMatchObject({ code: "model_not_found" });
  });
});

test("64 streams of an Ollama that dies end in text or with a typed error", async () => {
  const ollama = await startFakeOllama({ models: [{ name: "m" }] });
  await using client = new LLMClient(
    { provider: "ollama", baseUrl: ollama.url, model: "m", maxRetries: 1, retryDelay: 0.01 },
    NO_SOURCES,
  );
  const ask = async () => {
    const stream = client.stream({ messages: "hi" });
    for await (const event of stream) if (event.type === "finish") return event.response.content;
    throw new Error("a stream without an end");
  };
  const ends = Promise.allSettled(Array.from({ length: 64 }, ask));
  setImmediate(() => void ollama.close());
  for (const end of await ends) {
    if (end.status === "rejected") expect(LLMError.is(end.reason)).toBe(true);
    else expect(end.value.length).toBeGreaterThan(0);
  }
});
