import { type Socket, connect } from "node:net";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { ConfigurationError, type LLMError } from "../../src/errors.js";
import { closedPort } from "../servers/ports.js";
import {
  bodyOf,
  clientOf,
  closeAll,
  closed,
  failureOf,
  later,
  startServer,
  startSocketServer,
  textOf,
  unaborted,
} from "./local-server.js";

afterEach(closeAll);

const answer = (body: string) =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** Calls back for each request that a plain socket brings; requests have no body. */
function onRequest(socket: Socket, answerIt: (index: number) => void): void {
  let index = 0;
  socket.on("data", (bytes) => {
    if (bytes.includes("\r\n\r\n")) answerIt(index++);
  });
}

describe("a connection", () => {
  test("serves the next request after an answer was read to its end", async () => {
    const { url, sockets } = await startServer((_, response) => {
      response.write("a");
      response.end("b");
    });
    const client = clientOf(url);
    for (let call = 0; call < 3; call++) {
      const { chunks } = await client.openStream("/", unaborted());
      expect(await textOf(chunks)).toBe("ab");
    }
    expect(sockets).toHaveLength(1);
  });

  test("is destroyed when the loop over its answer is left", async () => {
    const { url, sockets } = await startServer((_, response) => {
      response.write("a");
    });
    const { chunks } = await clientOf(url).openStream("/", unaborted());
    for await (const _ of chunks) break;
    await closed(sockets[0]!);
  });

  test("that the server has closed meanwhile is not used again", async () => {
    let requests = 0;
    const { url, sockets } = await startServer(
      (_, response) => {
        requests += 1;
        response.end("[]");
      },
      { keepAliveTimeout: 1 },
    );
    const client = clientOf(url);
    await client.requestJson("GET", "/", unaborted());
    sockets[0]!.destroy();
    await client.requestJson("GET", "/", unaborted());
    expect([requests, sockets.length]).toEqual([2, 2]);
  });

  test("that dies in the moment of its reuse is replaced once, unseen", async () => {
    const requests: number[] = [];
    const { url } = await startSocketServer((socket, index) => {
      onRequest(socket, (request) => {
        requests.push(index);
        if (index === 0 && request === 1) socket.resetAndDestroy();
        else socket.write(answer("[]"));
      });
    });
    const client = clientOf(url);
    await client.requestJson("GET", "/", unaborted());
    await client.requestJson("GET", "/", unaborted());
    expect(requests).toEqual([0, 0, 1]);
  });

  test("that replaced a dead one is not replaced again", async () => {
    const requests: number[] = [];
    const { url } = await startSocketServer((socket, index) => {
      onRequest(socket, (request) => {
        requests.push(index);
        if (index === 0 && request === 0) socket.write(answer("[]"));
        else socket.end();
      });
    });
    const client = clientOf(url);
    await client.requestJson("GET", "/", unaborted());
    const error = await failureOf(client.requestJson("GET", "/", unaborted()));
    expect(error).toMatchObject({ name: "ConnectionError", code: "connection_reset" });
    expect(requests).toEqual([0, 0, 1]);
  });

  test("that dies after the server was at work for a while is not replaced", async () => {
    const requests: number[] = [];
    const { url } = await startSocketServer((socket, index) => {
      onRequest(socket, (request) => {
        requests.push(index);
        if (request === 0) socket.write(answer("[]"));
        else setTimeout(() => socket.end(), 1200);
      });
    });
    const client = clientOf(url);
    await client.requestJson("GET", "/", unaborted());
    const error = await failureOf(client.requestJson("GET", "/", unaborted()));
    expect(error).toMatchObject({ code: "connection_reset" });
    expect(requests).toEqual([0, 0]);
  });

  test.each([
    ["resets", (socket: Socket) => socket.resetAndDestroy()],
    ["closes", (socket: Socket) => socket.end()],
  ])("that the server %s at its first request is an error at once", async (_, kill) => {
    let requests = 0;
    const { url } = await startSocketServer((socket) => {
      onRequest(socket, () => {
        requests += 1;
        kill(socket);
      });
    });
    const call = clientOf(url).openStream("/", { ...unaborted(), body: {} });
    const error = await failureOf(call);
    expect(error).toMatchObject({
      name: "ConnectionError",
      code: "connection_reset",
      retryable: true,
      url,
      message: `Ollama at ${url} closed the connection unanswered.`,
      hint: "Is Ollama running? Start it with `ollama serve`.",
    });
    expect(requests).toBe(1);
  });

  test("that dies after the first byte of an answer is not replaced", async () => {
    let requests = 0;
    const { url } = await startSocketServer((socket) => {
      onRequest(socket, (request) => {
        requests += 1;
        if (request === 0) socket.write(answer("[]"));
        else socket.end("HTTP/1.1 2");
      });
    });
    const client = clientOf(url);
    await client.requestJson("GET", "/", unaborted());
    const error = await failureOf(client.requestJson("GET", "/", unaborted()));
    expect(error).toMatchObject({ code: "connection_reset" });
    expect(requests).toBe(2);
  });

  test("is given up before the server's 5 s of keeping it are over", async () => {
    const { url, sockets } = await startServer((_, response) => response.end("[]"));
    await clientOf(url).requestJson("GET", "/", unaborted());
    const start = performance.now();
    await closed(sockets[0]!);
    expect(performance.now() - start).toBeLessThan(4900);
  }, 10_000);
});

describe("a broken answer", () => {
  const head = "HTTP/1.1 200 OK\r\n";

  test.each([
    ["with a length", `${head}Content-Length: 100\r\n\r\nsome`],
    ["in chunks", `${head}Transfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n`],
    [
      "in chunks of a connection that closes",
      `${head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n`,
    ],
  ])("%s is an error after what had come", async (_, bytes) => {
    const { url } = await startSocketServer((socket) => {
      onRequest(socket, () => socket.end(bytes));
    });
    const { chunks } = await clientOf(url).openStream("/", unaborted());
    const got: string[] = [];
    const reading = async () => {
      for await (const batch of chunks) got.push(...batch.map((chunk) => String(chunk)));
    };
    expect(await failureOf(reading())).toMatchObject({
      name: "ConnectionError",
      code: "connection_reset",
      message: `Ollama at ${url} broke off its answer.`,
    });
    expect(got.join("")).toBe("some");
  });

  test("that is an error and does not end tells what had come of it", async () => {
    const { url } = await startServer((_, response) => {
      response.writeHead(500).write('{"error":"out of luck');
    });
    const error = await failureOf(clientOf(url).openStream("/", { ...unaborted(), body: {} }));
    expect(error).toMatchObject({ code: "server_error", status: 500 });
    expect((error as LLMError).message).toContain("out of luck");
  });

  test("without length ends with its connection, as HTTP/1.0 has it", async () => {
    const { url } = await startSocketServer((socket) => {
      onRequest(socket, () => socket.end("HTTP/1.0 200 OK\r\n\r\nsome"));
    });
    const { chunks } = await clientOf(url).openStream("/", unaborted());
    expect(await textOf(chunks)).toBe("some");
  });

  test.each([
    ["of another protocol", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["with endless headers", `${head}x: ${"y".repeat(100_000)}`],
  ])("%s is a ProtocolError", async (_, bytes) => {
    const { url } = await startSocketServer((socket) => {
      onRequest(socket, () => socket.end(bytes));
    });
    const error = await failureOf(clientOf(url).openStream("/", unaborted()));
    expect(error).toMatchObject({ name: "ProtocolError", code: "protocol", url });
  });
});

describe("a slow reader", () => {
  const total = 32 * 1024 * 1024;
  const chunk = Buffer.alloc(64 * 1024, "x");

  /** Writes a long body as fast as it is taken. */
  function pour(socket: Socket, atEnd: () => void): void {
    let left = total;
    const write = () => {
      while (left > 0) {
        left -= chunk.length;
        if (!socket.write(chunk)) return void socket.once("drain", write);
      }
      atEnd();
    };
    write();
  }

  test.each([
    ["of a known length", `HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`],
    ["that ends with its connection", "HTTP/1.0 200 OK\r\n\r\n"],
  ])("stops a server that sends a body %s, and loses nothing", async (_, head) => {
    const { url, sockets } = await startSocketServer((socket) => {
      onRequest(socket, () => {
        socket.write(head);
        pour(socket, () => socket.end());
      });
    });
    const { chunks } = await clientOf(url).openStream("/", unaborted());
    let written = -1;
    while (sockets[0]!.bytesWritten !== written) {
      written = sockets[0]!.bytesWritten;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // The rest of it waits in the buffers of both systems.
    expect(written).toBeLessThan(total / 2);
    let read = 0;
    for await (const batch of chunks) {
      const length = batch.reduce((sum, { length }) => sum + length, 0);
      expect(length).toBeLessThan(512 * 1024);
      read += length;
    }
    expect(read).toBe(total);
  });

  test.each([
    ["10", 10],
    ["70,000", 70_000],
  ])("gets all %s bytes that came before the connection was closed", async (_, length) => {
    const { url } = await startSocketServer((socket) => {
      onRequest(socket, () => socket.end(`HTTP/1.0 200 OK\r\n\r\n${"x".repeat(length)}`));
    });
    const { chunks } = await clientOf(url).openStream("/", unaborted());
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await textOf(chunks)).toHaveLength(length);
  });

  test("of a connection that was reset gets an error, and nothing crashes", async () => {
    const { url, sockets } = await startSocketServer((socket) => {
      onRequest(socket, () => socket.write(`HTTP/1.0 200 OK\r\n\r\n${"x".repeat(200_000)}`));
    });
    const { chunks } = await clientOf(url).openStream("/", unaborted());
    await new Promise((resolve) => setTimeout(resolve, 50));
    sockets[0]!.resetAndDestroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const reading = textOf(chunks);
    await expect(Promise.race([reading, reading])).rejects.toMatchObject({
      code: "connection_reset",
    });
  });

  test("leaves the connection usable for the next request", async () => {
    const { url, sockets } = await startServer((_, response) => {
      response.end("x".repeat(300_000));
    });
    const client = clientOf(url);
    for (let call = 0; call < 3; call++) {
      const { chunks } = await client.openStream("/", unaborted());
      let length = 0;
      for await (const batch of chunks) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        length += batch.reduce((sum, { length }) => sum + length, 0);
      }
      expect(length).toBe(300_000);
    }
    expect(sockets).toHaveLength(1);
  });
});

test("a thousand streams are open at the same time", async () => {
  const waiting: (() => void)[] = [];
  const { url, sockets } = await startServer((request, response) => {
    waiting.push(() => response.end(request.url));
    if (waiting.length === 1000) for (const end of waiting) end();
  });
  const client = clientOf(url, { connectTimeout: 30 });
  const texts = await Promise.all(
    Array.from({ length: 1000 }, async (_, index) => {
      const { chunks } = await client.openStream(`/${index}`, unaborted());
      return textOf(chunks);
    }),
  );
  expect(texts).toEqual(texts.map((_, index) => `/${index}`));
  expect(sockets).toHaveLength(1000);
}, 60_000);

describe("what cannot be reached", () => {
  test.each([
    ["ollama", "Is Ollama running? Start it with `ollama serve`."],
    ["lmstudio", "Is LM Studio's server running? Start it with `lms server start`."],
    ["mlx", "Is it running? Start it with `mlx_lm.server --model <folder or name>`."],
  ] as const)("refuses the connection to %s with a hint", async (provider, hint) => {
    const url = `http://localhost:${await closedPort()}`;
    const call = clientOf(url, { provider }).requestJson("GET", "/", unaborted());
    expect(await failureOf(call)).toMatchObject({
      name: "ConnectionError",
      code: "connection_refused",
      retryable: true,
      provider,
      url,
      hint,
    });
  });

  test("has a host name that does not exist", async () => {
    const call = clientOf("http://nobody.invalid").requestJson("GET", "/", unaborted());
    expect(await failureOf(call)).toMatchObject({ name: "ConnectionError", code: "dns" });
  });

  test("does not get ready within the time to connect", async () => {
    const { port, sockets } = await startSocketServer((socket) => socket.resume());
    const client = clientOf(`https://127.0.0.1:${port}`, { connectTimeout: 0.1 });
    const error = await failureOf(client.requestJson("GET", "/", unaborted()));
    expect(error).toMatchObject({ name: "ConnectionError", code: "connect_timeout" });
    await closed(sockets[0]!);
  });
});

describe("TLS", () => {
  const pem = (name: string) =>
    readFileSync(new URL(`../servers/tls/${name}.pem`, import.meta.url));

  async function startSecureServer(): Promise<string> {
    const server = createServer({ key: pem("key"), cert: pem("certificate") }, (_, response) => {
      response.end("[]");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    later(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("with a certificate that nobody vouches for is refused, unless one client allows it", async () => {
    const url = await startSecureServer();
    const trusting = clientOf(url, { verifySsl: false });
    expect(await trusting.requestJson("GET", "/", unaborted())).toMatchObject({ status: 200 });
    const error = (await failureOf(clientOf(url).requestJson("GET", "/", unaborted()))) as LLMError;
    expect(error).toMatchObject({ name: "ConnectionError", code: "tls", retryable: true });
    expect(error.message).toContain("self-signed certificate");
    expect(error.hint).toContain("verifySsl");
  });

  test("is not what a plain server speaks", async () => {
    const { port } = await startServer((_, response) => response.end("[]"));
    const call = clientOf(`https://127.0.0.1:${port}`).requestJson("GET", "/", unaborted());
    const error = (await failureOf(call)) as LLMError;
    expect(error).toMatchObject({ code: "tls" });
    expect(error.hint).toContain("http://");
  });
});

describe("a proxy of the environment", () => {
  const names = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
  const before = Object.fromEntries(names.map((name) => [name, process.env[name]]));

  beforeEach(() => {
    for (const name of names) delete process.env[name];
  });
  afterEach(() => {
    for (const name of names) delete process.env[name];
    for (const [name, value] of Object.entries(before)) if (value) process.env[name] = value;
  });

  /** A proxy that leads everything to one port, and the hosts it was asked for. */
  async function startProxy(port: number): Promise<{ url: string; hosts: string[] }> {
    const hosts: string[] = [];
    const { url } = await startSocketServer((socket) => {
      socket.once("data", (bytes) => {
        hosts.push(/^CONNECT (\S+)/.exec(String(bytes))?.[1] ?? String(bytes));
        if (port === 0) return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
        const target = connect(port, "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          socket.pipe(target).pipe(socket);
        });
        target.on("error", () => socket.destroy());
        socket.on("error", () => target.destroy());
      });
    });
    return { url, hosts };
  }

  test("is asked for other machines, and never for this one", async () => {
    const { url, port } = await startServer(async (request, response) => {
      response.end(JSON.stringify({ host: request.headers.host, body: await bodyOf(request) }));
    });
    const proxy = await startProxy(port);
    process.env.http_proxy = proxy.url;
    const far = clientOf("http://models.test:8000/prefix");
    const body = { a: 1 };
    expect(await far.requestJson("POST", "/", { ...unaborted(), body })).toMatchObject({
      body: { host: "models.test:8000", body: '{"a":1}' },
    });
    const { chunks } = await far.openStream("/", unaborted());
    await textOf(chunks);
    expect(proxy.hosts).toEqual(["models.test:8000"]);
    await clientOf(url).requestJson("GET", "/", unaborted());
    await clientOf(`http://localhost:${port}`).requestJson("GET", "/", unaborted());
    expect(proxy.hosts).toHaveLength(1);
  });

  test("is not asked for the hosts of no_proxy", async () => {
    const proxy = await startProxy(0);
    process.env.http_proxy = proxy.url;
    process.env.no_proxy = "nobody.invalid";
    const call = clientOf("http://nobody.invalid").requestJson("GET", "/", unaborted());
    expect(await failureOf(call)).toMatchObject({ code: "dns" });
    expect(proxy.hosts).toEqual([]);
  });

  test("that refuses is named", async () => {
    const proxy = await startProxy(0);
    process.env.http_proxy = proxy.url;
    const call = clientOf("http://models.test").requestJson("GET", "/", unaborted());
    const error = (await failureOf(call)) as LLMError;
    expect(error).toMatchObject({ name: "ConnectionError", code: "connection_failed" });
    expect(error.message).toContain("proxy");
    expect(error.hint).toContain("no_proxy");
  });

  test("that does not answer has the time to connect, and no more", async () => {
    const { url, sockets } = await startSocketServer((socket) => void socket.resume());
    process.env.http_proxy = url;
    const client = clientOf("http://models.test", { connectTimeout: 0.2 });
    const call = client.requestJson("GET", "/", unaborted());
    expect(await failureOf(call)).toMatchObject({ code: "connect_timeout" });
    await Promise.all(sockets.map(closed));
  });

  test("that is no address is a ConfigurationError", async () => {
    process.env.http_proxy = "not an address";
    const call = clientOf("http://models.test").requestJson("GET", "/", unaborted());
    expect(await failureOf(call)).toBeInstanceOf(ConfigurationError);
  });

  test("does not serialize streams, keeps no 300 s limit, and sees them leave", async () => {
    const { port, sockets } = await startServer((_, response) => void response.write("a"));
    const proxy = await startProxy(port);
    process.env.http_proxy = proxy.url;
    const client = clientOf("http://models.test");
    const streams = await Promise.all(
      Array.from({ length: 20 }, () => client.openStream("/", unaborted())),
    );
    expect(sockets).toHaveLength(20);
    for (const { chunks } of streams) for await (const _ of chunks) break;
    await Promise.all(sockets.map(closed));
    expect(new Set(proxy.hosts).size).toBe(1);
  });
});
