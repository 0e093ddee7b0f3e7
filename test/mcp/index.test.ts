import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectMcp, type McpOptions, type McpServer, type McpTools } from "../../src/mcp/index.js";
import { closedPort } from "../servers/ports.js";

// Each test starts a process or two.
jest.setTimeout(60_000);

const PROGRAM = fileURLToPath(new URL("../fixtures/programs/mcp-server.mjs", import.meta.url));
const KEY = "very-private-key";

let open: McpTools[] = [];

afterEach(async () => {
  await Promise.all(open.map((mcp) => mcp.close()));
  open = [];
});

const serverWith = (...tools: string[]): McpServer => ({
  command: process.execPath,
  args: [PROGRAM, "stdio", ...tools],
});

async function connect(servers: Record<string, McpServer>, options: McpOptions = {}) {
  const mcp = await connectMcp({ servers, ...options });
  open.push(mcp);
  return mcp;
}

function call(mcp: McpTools, name: string, given = {}, signal = new AbortController().signal) {
  const tool = mcp.tools.find((each) => each.name === name)!;
  return tool.execute(given, { call: { id: "1", name, arguments: given }, signal });
}

const running = (code: string): McpServer => ({ command: process.execPath, args: ["-e", code] });

describe("connectMcp", () => {
  test("gives the tools of a command, and calls them", async () => {
    const mcp = await connect({ sums: serverWith("add") });
    expect(mcp.tools).toMatchObject([
      { name: "add", server: "sums", description: "Adds.", parameters: { type: "object" } },
    ]);
    expect(mcp.warnings).toEqual([]);
    await expect(call(mcp, "add", { a: 7, b: 5 })).resolves.toBe("12");
  });

  test("puts the server's name before a tool's where two have it", async () => {
    const mcp = await connect({ one: serverWith("add", "long"), two: serverWith("add") });
    expect(mcp.tools.map(({ name }) => name)).toEqual(["one_add", "long", "two_add"]);
    await expect(call(mcp, "two_add", { a: 1, b: 2 })).resolves.toBe("3");
  });

  test("gives names that models take", async () => {
    const mcp = await connect({ odd: serverWith("odd.name/x") });
    await expect(call(mcp, "odd_name_x")).resolves.toBe("odd");
  });

  test("cuts a long result, and says so", async () => {
    const mcp = await connect({ long: serverWith("long") }, { maxResultLength: 10 });
    await expect(call(mcp, "long")).resolves.toBe(
      "xxxxxxxxxx\n[cut: the first 10 of 1000 characters]",
    );
  });

  test("tells of a picture and of links what they are", async () => {
    const mcp = await connect({ pictures: serverWith("picture") });
    await expect(call(mcp, "picture")).resolves.toBe(
      "Here:\n[image: image/png, 3 bytes, not shown]\n[link: notes, file:///notes.txt]\nin a",
    );
  });

  test("throws what a tool says is wrong, without the keys in it", async () => {
    const mcp = await connect({ fails: { ...serverWith("fail"), env: { MCP_KEY: KEY } } });
    await expect(call(mcp, "fail")).rejects.toMatchObject({
      name: "GenerationError",
      code: "tool_failed",
      message: "No [redacted].",
    });
  });

  test("gives a command only the environment that it is told", async () => {
    process.env.MCP_TEST_PRIVATE = "x";
    const mcp = await connect({ env: { ...serverWith("environment"), env: { MCP_KEY: KEY } } });
    delete process.env.MCP_TEST_PRIVATE;
    const names = JSON.parse((await call(mcp, "environment")) as string) as string[];
    expect(names).toContain("MCP_KEY");
    expect(names).not.toContain("MCP_TEST_PRIVATE");
  });

  test("ends a call that takes too long, and goes on with others", async () => {
    const mcp = await connect({ slow: serverWith("hang", "add") }, { timeout: 2 });
    const hanging = call(mcp, "hang");
    await expect(hanging).rejects.toMatchObject({
      name: "TimeoutError",
      code: "tool_timeout",
      message: expect.stringContaining('"slow" did not answer the call of "hang" within 2 s'),
    });
    await expect(call(mcp, "add", { a: 1, b: 1 })).resolves.toBe("2");
  });

  test("ends a call that is aborted with the reason", async () => {
    const mcp = await connect({ slow: serverWith("hang") });
    const controller = new AbortController();
    const hanging = call(mcp, "hang", {}, controller.signal) as Promise<unknown>;
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(hanging).rejects.toBe(reason);
  });

  test("says which server died, and its last words without keys", async () => {
    const mcp = await connect({ mortal: { ...serverWith("die"), env: { MCP_KEY: KEY } } });
    const error = await (call(mcp, "die") as Promise<never>).catch((error: Error) => error);
    expect(error).toMatchObject({ name: "ConnectionError", code: "connection_failed" });
    expect(error.message).toContain('The MCP server "mortal" has ended, and said: ready');
    expect(error.message).toContain("gone with [redacted]");
    expect(JSON.stringify(error)).not.toContain(KEY);
    await expect(call(mcp, "die")).rejects.toMatchObject({ code: "connection_failed" });
  });

  test("hears what a command writes to stderr", async () => {
    const heard: string[] = [];
    const onStderr = (server: string, text: string) => heard.push(server, text);
    await connect({ loud: serverWith("add") }, { onStderr });
    expect(heard).toEqual(["loud", "ready\n"]);
  });

  test.each([
    [
      "that there is not",
      { command: "no-such-command-here" },
      "ConnectionError",
      "no such command",
    ],
    ["that ends", running("process.exit(3)"), "ConnectionError", "has ended"],
    ["that says nothing", running("setInterval(() => {}, 1000)"), "TimeoutError", "within 1 s"],
    [
      "that prints other things",
      running("setInterval(() => console.log('hi'), 50)"),
      "TimeoutError",
      "within 1 s",
    ],
  ])("fails for a command %s", async (_kind, server, name, message) => {
    await expect(connect({ bad: server }, { connectTimeout: 1 })).rejects.toMatchObject({
      name,
      message: expect.stringContaining(message),
      hint: expect.stringContaining('"bad"'),
    });
  });

  test("ends the other commands when one fails, and all when closed", async () => {
    const pids: number[] = [];
    const told = running(
      `process.stderr.write(String(process.pid)); process.stdin.on("end", () => process.exit()).resume()`,
    );
    const onStderr = (_server: string, text: string) => pids.push(Number(text));
    await expect(connect({ told }, { onStderr, connectTimeout: 3 })).rejects.toThrow("within 3 s");
    expect(pids).toHaveLength(1);
    expect(() => process.kill(pids[0]!, 0)).toThrow("ESRCH");
  });

  test("stops connecting when aborted", async () => {
    const signal = AbortSignal.timeout(50);
    const server = running("setInterval(() => {}, 1000)");
    await expect(connect({ server }, { signal })).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("connectMcp over HTTP", () => {
  let server: ChildProcess;
  let url: string;

  beforeAll(async () => {
    server = spawn(process.execPath, [PROGRAM, "http", "add"], { stdio: ["ignore", "pipe", 2] });
    const [line] = (await once(server.stdout!, "data")) as [Buffer];
    url = line.toString().trim();
  });

  afterAll(() => server.kill());

  test("calls tools, with the headers", async () => {
    const headers = { Authorization: "Bearer right-key" };
    const mcp = await connect({ web: { url, headers } });
    await expect(call(mcp, "add", { a: 7, b: 5 })).resolves.toBe("12");
  });

  test("says that credentials are refused, without them", async () => {
    const headers = { Authorization: `Bearer ${KEY}` };
    const error = await connect({ web: { url, headers } }).catch((error) => error);
    expect(error).toMatchObject({ name: "AuthenticationError", code: "auth", status: 401 });
    expect(JSON.stringify(error) + error.stack).not.toContain(KEY);
  });

  test("says that an answer is not MCP, or that there is nothing", async () => {
    const page = createServer(({ url }, response) => {
      response.writeHead(url === "/page" ? 200 : 404, { "content-type": "text/html" }).end("<p>");
    });
    page.listen(0, "127.0.0.1");
    await once(page, "listening");
    const address = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
    await expect(connect({ web: { url: `${address}/page` } })).rejects.toMatchObject({
      message: 'The MCP server "web" answered with what is not MCP.',
      hint: 'Check that "web" is an MCP server.',
    });
    await expect(connect({ web: { url: `${address}/none` } })).rejects.toMatchObject({
      message: 'The MCP server "web" answered with the status 404.',
      hint: 'Check the url of "web".',
    });
    page.closeAllConnections();
    page.close();
  });

  test("says that nobody is there", async () => {
    const web = { url: `http://127.0.0.1:${await closedPort()}/mcp` };
    await expect(connect({ web })).rejects.toMatchObject({
      name: "ConnectionError",
      message: 'The MCP server "web" cannot be reached: ECONNREFUSED.',
    });
  });
});

describe("connectMcp with a file", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mcp-"));
  });

  afterEach(() => rm(folder, { recursive: true }));

  async function write(content: unknown) {
    const file = join(folder, "mcp.json");
    await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
    return file;
  }

  test("takes what it names, but for what is disabled, and warns of what it does not know", async () => {
    const sums = { type: "stdio", ...serverWith("add"), autoApprove: ["add"] };
    const off = { command: "no-such-command-here", disabled: true };
    const mcp = await connectMcp({ file: await write({ mcpServers: { sums, off } }) });
    open.push(mcp);
    expect(mcp.tools.map(({ name }) => name)).toEqual(["add"]);
    expect(mcp.warnings).toEqual(["mcpServers.sums.autoApprove is not known and not used"]);
  });

  test.each([
    ["{", "is not JSON"],
    [{}, "mcpServers must be an object of servers"],
    [{ mcpServers: { a: {} } }, "mcpServers.a must be an object with a command or a url"],
    [{ mcpServers: { a: { command: KEY, url: "http://x" } } }, "and not with both"],
    [{ mcpServers: { a: { command: "x", env: { K: 5 } } } }, "mcpServers.a.env.K must be a text"],
    [{ mcpServers: { a: { url: KEY } } }, "mcpServers.a.url must be an http(s) URL"],
    [{ mcpServers: { a: { url: "http://x", env: {} } } }, "which need a command"],
    [{ mcpServers: { a: { type: "sse", url: "http://x" } } }, 'must be "stdio" or "http"'],
    [{ mcpServers: { a: { url: "http://x", headers: { K: `${KEY}\n1` } } } }, "no header"],
  ])("refuses %j", async (content, message) => {
    const error = await connectMcp({ file: await write(content) }).catch((error) => error);
    expect(error).toMatchObject({ name: "ConfigurationError", code: "configuration" });
    expect(error.message).toContain(message);
    expect(error.message).not.toContain(KEY);
  });

  test("refuses a file that there is not, and options that are wrong", async () => {
    const missing = join(folder, "none.json");
    await expect(connectMcp({ file: missing })).rejects.toThrow("none.json does not exist.");
    await expect(connect({}, { timeout: 0 })).rejects.toThrow(
      "timeout must be a number of seconds",
    );
  });
});
