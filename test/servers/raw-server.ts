import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** What a raw server does on its connection once a whole request has come. */
export type Act = (socket: Socket, requestId: string) => void | Promise<void>;

/** A server that knows nothing of HTTP but where a request ends; what it answers is up to the bytes. */
export async function startRawServer(act: Act): Promise<{ url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // A client may reset the connection at any time.
    socket.on("error", () => {});
    let received = "";
    socket.on("data", (bytes: Buffer) => {
      received += bytes.toString();
      const end = endOfRequest(received);
      if (end === undefined) return;
      const requestId = /^x-request-id: *(.*)$/im.exec(received)?.[1] ?? "";
      received = received.slice(end);
      void act(socket, requestId.trim());
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, "close");
  };
  return { url: `http://127.0.0.1:${port}`, close };
}

/** Where a request ends whose body is plain ASCII. */
function endOfRequest(text: string): number | undefined {
  const head = text.indexOf("\r\n\r\n") + 4;
  if (head < 4) return undefined;
  const length = Number(/^content-length: *(\d+)/im.exec(text.slice(0, head))?.[1] ?? 0);
  return text.length >= head + length ? head + length : undefined;
}
