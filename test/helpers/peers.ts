import { type AddressInfo, createServer } from "node:net";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Writes a host file for so many processes on this machine, and gives back its path. */
export async function writeHostFile(folder: string, processes = 2): Promise<string> {
  const ports = await freePorts(processes);
  const file = join(folder, `hosts-${ports.join("-")}.json`);
  await writeFile(file, JSON.stringify(ports.map((port) => [`127.0.0.1:${port}`])));
  return file;
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const listening = servers.map(
    (server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve)),
  );
  await Promise.all(listening);
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
