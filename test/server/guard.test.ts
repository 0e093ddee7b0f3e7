import crypto from "node:crypto";
import { request } from "node:http";
import { ConfigurationError } from "../../src/index.js";
import { createServer, type ServerOptions } from "../../src/server/index.js";
import { type RunningServer, startServer } from "../helpers/running-server.js";

let running: RunningServer | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

/** Asks with headers that fetch does not let one set; gives status and headers. */
async function ask(headers: Record<string, string>, { path = "/v1/models", method = "GET" } = {}) {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      const { port } = new URL(running!.url);
      const sent = request({ port, host: "127.0.0.1", path, method, headers }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () =>
          resolve({ status: response.statusCode!, headers: response.headers, body }),
        );
      });
      sent.on("error", reject).end();
    },
  );
}

test.each(["localhost", "127.0.0.1:11435", "[::1]:80", "192.168.1.7"])(
  "answers to the name %s",
  async (host) => {
    running = await startServer();
    expect((await ask({ host })).status).toBe(200);
  },
);

test.each(["evil.example", "localhost.evil.example", "127.0.0.1.evil.example"])(
  "does not answer to the name %s",
  async (host) => {
    running = await startServer();
    const { status, body } = await ask({ host });
    expect([status, JSON.parse(body).error.code]).toEqual([403, "host_not_allowed"]);
  },
);

test("does not answer to another name in the first line of a request", async () => {
  running = await startServer({ allowHosts: ["studio.local"] });
  const host = "127.0.0.1";
  const statusOf = async (path: string) => (await ask({ host }, { path })).status;
  expect(await statusOf("http://evil.example/v1/models")).toBe(403);
  expect(await statusOf("http://studio.local/v1/models")).toBe(200);
});

test.each([
  "//v1/models",
  "/%76%31/models",
  "/health/../v1/models",
  "/health%2f..%2fv1/models",
  "/v1/models?/health",
  "http://127.0.0.1/v1/models",
])("wants its key for %s, however it is written", async (path) => {
  running = await startServer({ token: "s3cret" });
  expect((await ask({}, { path })).status).toBe(401);
});

test("answers to a name that it was told", async () => {
  running = await startServer({ allowHosts: ["Studio.local"] });
  expect((await ask({ host: "studio.local:11435" })).status).toBe(200);
});

test.each(["https://evil.example", "null", "http://127.0.0.1:1"])(
  "refuses pages of %s",
  async (origin) => {
    running = await startServer();
    const { status, headers, body } = await ask({ origin });
    expect([status, JSON.parse(body).error.code]).toEqual([403, "origin_not_allowed"]);
    expect(headers["access-control-allow-origin"]).toBeUndefined();
  },
);

test("lets its own page ask", async () => {
  running = await startServer();
  expect((await ask({ origin: running.url })).status).toBe(200);
});

test("lets pages ask that it was told, and answers their browsers' question", async () => {
  const origin = "https://chat.example";
  running = await startServer({ allowOrigins: [origin], token: "key" });
  const preflight = await ask(
    { origin, "access-control-request-method": "POST" },
    { path: "/v1/chat/completions", method: "OPTIONS" },
  );
  expect(preflight.status).toBe(204);
  expect(preflight.headers["access-control-allow-origin"]).toBe(origin);
  const { status, headers } = await ask({ origin, authorization: "Bearer key" });
  expect([status, headers["access-control-allow-origin"]]).toEqual([200, origin]);
});

test.each<[string, Record<string, string>]>([
  ["a bearer token", { authorization: "Bearer s3cret" }],
  ["x-api-key", { "x-api-key": "s3cret" }],
])("takes the key in %s", async (_, headers) => {
  running = await startServer({ token: "s3cret" });
  expect((await ask(headers)).status).toBe(200);
});

test.each<[string, Record<string, string>]>([
  ["no_key", {}],
  ["no_key", { authorization: "Basic s3cret" }],
  ["wrong_key", { authorization: "Bearer s3cre" }],
  ["wrong_key", { "x-api-key": "S3cret" }],
])("refuses with %s what is sent as %j", async (code, headers) => {
  running = await startServer({ token: "s3cret" });
  const { status, body } = await ask(headers);
  expect([status, JSON.parse(body).error]).toMatchObject([401, { code }]);
  expect(body + running.log.join()).not.toContain("s3cre");
});

test("compares keys in a time that tells nothing of them", async () => {
  const compare = jest.spyOn(crypto, "timingSafeEqual");
  running = await startServer({ token: "s3cret" });
  for (const key of ["", "s", "s3creT", "s3cret".repeat(100)]) {
    expect((await ask({ "x-api-key": key })).status).toBe(401);
  }
  // Of one length, however long the key is.
  const lengths = compare.mock.calls.flatMap((keys) => keys.map(({ byteLength }) => byteLength));
  expect(lengths).toEqual(Array.from({ length: 8 }, () => 32));
  compare.mockRestore();
});

test("tells without a key that it is up", async () => {
  running = await startServer({ token: "s3cret" });
  expect((await ask({}, { path: "/health" })).status).toBe(200);
});

test.each<[ServerOptions, string]>([
  [{ host: "0.0.0.0" }, "needs a token"],
  [{ host: "::" }, "needs a token"],
  [{ host: "studio.local" }, "needs a token"],
  [{ port: 65_536 }, "port is 65536"],
  [{ token: "with space" }, "token must be"],
  [{ allowOrigins: ["chat.example"] }, "allowOrigins[0]"],
])("does not begin with %j", (options, reason) => {
  const create = () => createServer({} as never, options);
  expect(create).toThrow(ConfigurationError);
  expect(create).toThrow(reason);
});
