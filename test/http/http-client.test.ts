import { getEventListeners } from "node:events";
import {
  AbortError,
  ConfigurationError,
  type LLMError,
  ProtocolError,
  TimeoutError,
  ValidationError,
} from "../../src/errors.js";
import {
  bodyOf,
  clientOf,
  closeAll,
  closed,
  failureOf,
  startServer,
  startSocketServer,
  textOf,
  unaborted,
  until,
} from "./local-server.js";

afterEach(closeAll);

describe("a request", () => {
  test("carries method, prefixed path, JSON, key and id, and asks for no compression", async () => {
    let seen: unknown;
    const { url } = await startServer(async (request, response) => {
      const { method, url, headers } = request;
      seen = { method, url, headers, body: await bodyOf(request) };
      response.setHeader("x-request-id", "theirs").end('{"ok":true}');
    });
    const client = clientOf(`${url}/prefix/`, { apiKey: "key-1" });
    const answer = await client.requestJson("POST", "/api/show", {
      ...unaborted(),
      body: { model: "é" },
      requestId: "mine",
    });
    expect(answer).toMatchObject({ status: 200, body: { ok: true } });
    expect(answer.headers).toMatchObject({ "x-request-id": "theirs" });
    expect(client.url).toBe(`${url}/prefix`);
    expect(seen).toEqual({
      method: "POST",
      url: "/prefix/api/show",
      body: '{"model":"é"}',
      headers: {
        host: url.slice(7),
        connection: "keep-alive",
        authorization: "Bearer key-1",
        "content-type": "application/json",
        "content-length": "14",
        "x-request-id": "mine",
      },
    });
  });

  test("without key and body carries neither", async () => {
    let headers: object = {};
    const { url } = await startServer((request, response) => {
      headers = request.headers;
      response.end("[]");
    });
    await clientOf(url).requestJson("GET", "/", unaborted());
    expect(Object.keys(headers)).toEqual(["host", "connection"]);
  });

  test("turns the user in the base URL into basic authorization and hides it", async () => {
    let authorization: string | undefined;
    const { url } = await startServer((request, response) => {
      authorization = request.headers.authorization;
      response.writeHead(500).end();
    });
    const client = clientOf(url.replace("//", "//me:p%40ss@"));
    const error = await failureOf(client.requestJson("GET", "/", unaborted()));
    expect(authorization).toBe(`Basic ${Buffer.from("me:p@ss").toString("base64")}`);
    expect(client.url).toBe(url);
    expect(JSON.stringify(error)).not.toContain("p@ss");
    expect(JSON.stringify(error)).not.toContain("p%40ss");
  });

  test("encodes what a header cannot carry in its id and cuts a long one", async () => {
    const ids: unknown[] = [];
    const { url } = await startServer((request, response) => {
      ids.push(request.headers["x-request-id"]);
      response.end("{}");
    });
    const client = clientOf(url);
    for (const requestId of ["a\r\nx-evil: 1", "ü\u0000\ud800", "x".repeat(1000)]) {
      await client.requestJson("GET", "/", { ...unaborted(), requestId });
    }
    expect(ids).toEqual(["a%0d%0ax-evil:%201", "%c3%bc%00%ef%bf%bd", "x".repeat(256)]);
  });

  test("that cannot be JSON is a ValidationError", async () => {
    const { url } = await startServer((_, response) => response.end());
    const body = { many: 1n };
    const error = await failureOf(clientOf(url).openStream("/", { ...unaborted(), body }));
    expect(error).toBeInstanceOf(ValidationError);
  });

  test("tells when it is written and when the headers have come", async () => {
    const { url } = await startServer((_, response) => {
      response.setHeader("x-request-id", "theirs").end("{}");
    });
    const progress: unknown[] = [];
    const onProgress = (step: object) => progress.push(step);
    const { chunks } = await clientOf(url).openStream("/", { ...unaborted(), onProgress });
    await textOf(chunks);
    expect(progress).toEqual([
      { phase: "load" },
      { phase: "prompt", status: 200, serverRequestId: "theirs" },
    ]);
  });
});

describe("settings", () => {
  test.each([
    ["not a URL", "localhost:1"],
    ["another protocol", "ftp://localhost"],
    ["a query", "http://localhost/?key=1"],
  ])("refuse %s as the base URL", (_, baseUrl) => {
    expect(() => clientOf(baseUrl)).toThrow(ConfigurationError);
  });

  test("refuse a key with a line break without showing it", () => {
    const make = () => clientOf("http://localhost", { apiKey: "my-secret\n" });
    expect(make).toThrow(ConfigurationError);
    expect(make).not.toThrow(/my-secret/);
  });

  test("refuse a key together with a user", () => {
    const make = () => clientOf("http://me:pw@localhost", { apiKey: "key" });
    expect(make).toThrow(ConfigurationError);
  });
});

describe("an answer", () => {
  test.each([
    ["is no JSON", "Ollama is running", {}],
    ["is empty", "", {}],
    ["is a web page", "<!DOCTYPE html><html></html>", { "content-type": "text/html" }],
    ["is compressed", "x", { "content-encoding": "gzip" }],
  ])("that %s is a ProtocolError", async (_, text, headers) => {
    const { url } = await startServer((_, response) => response.writeHead(200, headers).end(text));
    const error = await failureOf(clientOf(url).requestJson("GET", "/", unaborted()));
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toMatchObject({ code: "protocol", provider: "ollama", url });
  });

  test("may be empty after DELETE", async () => {
    const { url } = await startServer((_, response) => response.end());
    const answer = await clientOf(url).requestJson("DELETE", "/", {
      ...unaborted(),
      body: { model: "x" },
    });
    expect(answer.body).toBeUndefined();
  });

  test("of 200 with an error is that error, as a whole or as a stream", async () => {
    const { url } = await startServer((_, response) => {
      response.setHeader("content-type", "application/json");
      response.write('{"err');
      setTimeout(() => response.end('or":"Unexpected endpoint or method. (GET /x)"}'), 20);
    });
    const client = clientOf(url, { provider: "lmstudio" });
    const whole = await failureOf(client.requestJson("GET", "/x", unaborted()));
    const stream = await failureOf(client.openStream("/x", unaborted()));
    for (const error of [whole, stream]) {
      expect(error).toMatchObject({ code: "protocol", status: 200 });
      expect((error as LLMError).message).toContain("Unexpected endpoint or method");
    }
  });

  test("of JSON that is no error streams as it is", async () => {
    const line = `{"message":"${"x".repeat(100)}"}\n`;
    const { url } = await startServer((_, response) => {
      response.setHeader("content-type", "application/json; charset=utf-8");
      response.write(line);
      setTimeout(() => response.end(line), 20);
    });
    const { contentType, chunks } = await clientOf(url).openStream("/", unaborted());
    expect(contentType).toBe("application/json");
    expect(await textOf(chunks)).toBe(line + line);
  });

  test("of a web page is no stream", async () => {
    const { url } = await startServer((_, response) => {
      response.writeHead(200, { "content-type": "text/html" }).end("<html></html>");
    });
    const error = await failureOf(clientOf(url).openStream("/", unaborted()));
    expect(error).toMatchObject({ code: "protocol" });
  });

  test("that redirects is refused, and nothing is sent there", async () => {
    let requests = 0;
    const { url } = await startServer((_, response) => {
      requests += 1;
      response.writeHead(302, { location: "http://elsewhere.test/x?token=abc" }).end();
    });
    const client = clientOf(url, { apiKey: "key-1" });
    for (const call of [
      client.openStream("/", unaborted()),
      client.requestJson("GET", "/", unaborted()),
    ]) {
      const error = (await failureOf(call)) as LLMError;
      expect(error).toMatchObject({ code: "protocol", status: 302 });
      expect(error.message).toContain("http://elsewhere.test/x");
      expect(error.message).not.toContain("abc");
    }
    expect(requests).toBe(2);
  });

  test("with an error status is read only as far as it is useful", async () => {
    const { url, sockets } = await startServer((_, response) => {
      response.writeHead(500, { "content-type": "application/json" });
      response.write('{"error":"');
      const write = () => {
        while (response.write("y".repeat(16 * 1024)));
        response.once("drain", write);
      };
      write();
    });
    const error = (await failureOf(clientOf(url).openStream("/", unaborted()))) as LLMError;
    expect(error).toMatchObject({ code: "server_error", status: 500, retryable: true });
    expect(error.message.length).toBeLessThan(400);
    await closed(sockets[0]!);
  });

  test("with an error status counts although its body breaks off", async () => {
    const { url } = await startServer((_, response) => {
      response.writeHead(404, { "content-length": 1000 }).write("404 page");
      setTimeout(() => response.destroy(), 20);
    });
    const error = await failureOf(clientOf(url).requestJson("GET", "/", unaborted()));
    expect(error).toMatchObject({ status: 404, code: "protocol" });
  });

  test("never shows the key that was sent", async () => {
    const apiKey = "dummy-key-of-mine";
    const { url } = await startServer((_, response) => {
      response.writeHead(401).end(JSON.stringify({ error: `Malformed token provided: ${apiKey}` }));
    });
    const error = await failureOf(clientOf(url, { apiKey }).requestJson("GET", "/", unaborted()));
    expect(error).toMatchObject({ code: "auth" });
    expect(`${error}${JSON.stringify(error)}`).not.toContain(apiKey);
  });

  test("may be preceded by early hints", async () => {
    const { url } = await startServer((_, response) => {
      response.writeEarlyHints({ link: "</x>; rel=preload" });
      response.end("{}");
    });
    expect(await clientOf(url).requestJson("GET", "/", unaborted())).toMatchObject({ status: 200 });
  });

  test("larger than 64 MiB is refused", async () => {
    const { url, sockets } = await startServer((_, response) => {
      const chunk = Buffer.alloc(1024 * 1024, " ");
      const write = () => {
        while (response.write(chunk));
        response.once("drain", write);
      };
      write();
    });
    const error = await failureOf(clientOf(url).requestJson("GET", "/", unaborted()));
    expect(error).toMatchObject({ code: "protocol" });
    expect(String(error)).toContain("64 MiB");
    await closed(sockets[0]!);
  });
});

describe("aborting", () => {
  test("ends a call that waits for its answer, and only that one", async () => {
    const { url, sockets } = await startServer((request, response) => {
      if (request.url === "/slow") return;
      response.write("first");
      setTimeout(() => response.end(" second"), 100);
    });
    const client = clientOf(url);
    const other = await client.openStream("/other", unaborted());
    const controller = new AbortController();
    const call = failureOf(client.openStream("/slow", { signal: controller.signal }));
    await until(() => sockets.length === 2);
    controller.abort();
    expect(await call).toBeInstanceOf(AbortError);
    await closed(sockets[1]!);
    expect(await textOf(other.chunks)).toBe("first second");
  });

  test("ends a stream at once with the reason, if that is an error of this package", async () => {
    const { url, sockets } = await startServer((_, response) => void response.write("first"));
    const controller = new AbortController();
    const { chunks } = await clientOf(url).openStream("/", { signal: controller.signal });
    const reason = new TimeoutError("too slow");
    const reading = failureOf(textOf(chunks));
    setTimeout(() => controller.abort(reason), 20);
    expect(await reading).toBe(reason);
    await closed(sockets[0]!);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  test("before the call sends nothing", async () => {
    const { url, sockets } = await startServer((_, response) => response.end("{}"));
    const call = clientOf(url).requestJson("GET", "/", { signal: AbortSignal.abort() });
    expect(await failureOf(call)).toBeInstanceOf(AbortError);
    expect(sockets).toEqual([]);
  });

  test("while connecting gives the connection up", async () => {
    const { port, sockets } = await startSocketServer((socket) => socket.resume());
    const client = clientOf(`https://127.0.0.1:${port}`);
    const controller = new AbortController();
    const call = failureOf(client.openStream("/", { signal: controller.signal }));
    await until(() => sockets.length === 1);
    controller.abort();
    expect(await call).toBeInstanceOf(AbortError);
    await closed(sockets[0]!);
  });

  test("leaves no listener behind after a call, whatever its end", async () => {
    const { url } = await startServer((request, response) => {
      response.writeHead(request.url === "/bad" ? 400 : 200).end("{}");
    });
    const client = clientOf(url);
    const { signal } = new AbortController();
    await client.requestJson("GET", "/", { signal });
    await failureOf(client.requestJson("GET", "/bad", { signal }));
    await failureOf(clientOf("http://127.0.0.1:9").requestJson("GET", "/", { signal }));
    await textOf((await client.openStream("/", { signal })).chunks);
    for await (const _ of (await client.openStream("/", { signal })).chunks) break;
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });
});

describe("closing", () => {
  test("ends streams under way, refuses new calls, and may be repeated", async () => {
    const { url, sockets } = await startServer((_, response) => void response.write("first"));
    const client = clientOf(url);
    const { chunks } = await client.openStream("/", unaborted());
    const reading = failureOf(textOf(chunks));
    await client.openStream("/unread", unaborted());
    await Promise.all([client.close(), client.close()]);
    expect(await reading).toMatchObject({ name: "AbortError", code: "closed" });
    await Promise.all(sockets.map(closed));
    const later = await failureOf(client.requestJson("GET", "/", unaborted()));
    expect(later).toMatchObject({ name: "AbortError", code: "closed" });
    await client.close();
  });

  test("before the first call is possible", async () => {
    const client = clientOf("http://127.0.0.1:9");
    await client.close();
    expect(await failureOf(client.openStream("/", unaborted()))).toMatchObject({ code: "closed" });
  });

  test("does not wait for a connection that is not open yet", async () => {
    const { port, sockets } = await startSocketServer((socket) => socket.resume());
    const client = clientOf(`https://127.0.0.1:${port}`, { connectTimeout: 100 });
    const call = failureOf(client.openStream("/", unaborted()));
    await until(() => sockets.length === 1);
    await client.close();
    expect(await call).toMatchObject({ code: "closed" });
    await closed(sockets[0]!);
  });
});
