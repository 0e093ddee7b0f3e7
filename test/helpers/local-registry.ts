import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, dirname, join } from "node:path";

/** A package that a registry offers. */
interface Published {
  description: { name: string; version: string };
  tarball: Buffer;
}

/** A registry on this machine. */
export interface LocalRegistry {
  url: string;
  close(): void;
}

const root = join(__dirname, "../..");

/**
 * Offers the tarballs of a folder, and what is installed in this checkout: nothing else, and
 * nothing from any other machine.
 */
export async function startLocalRegistry(tarballs: string): Promise<LocalRegistry> {
  const known = new Map<string, Published[]>();
  const publish = (published: Published) => {
    const { name } = published.description;
    known.set(name, [...(known.get(name) ?? []), published]);
  };
  for (const file of readdirSync(tarballs)) publish(fromTarball(join(tarballs, file)));
  const server = createServer(({ url = "/" }, response) => {
    const [, name, version] =
      /^\/((?:@[^/]+\/)?[^/]+)(?:\/-\/(.+)\.tgz)?$/.exec(unescaped(url)) ?? [];
    if (name && !known.has(name)) for (const folder of installed(name)) publish(fromFolder(folder));
    const versions = known.get(name ?? "") ?? [];
    const found = versions.find(({ description }) => description.version === version);
    if (found) return response.end(found.tarball);
    if (versions.length === 0 || version) return response.writeHead(404).end("{}");
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(packument(versions, address())));
  });
  const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: address(), close: () => server.close().closeAllConnections() };
}

function packument(versions: Published[], address: string) {
  const { name, version } = versions.at(-1)!.description;
  const entries = versions.map(({ description, tarball }) => {
    const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
    const dist = { tarball: `${address}/${name}/-/${description.version}.tgz`, integrity };
    return [description.version, { ...description, scripts: {}, dist }];
  });
  return { name, "dist-tags": { latest: version }, versions: Object.fromEntries(entries) };
}

function unescaped(url: string): string {
  return decodeURIComponent(url.split("?")[0]!);
}

/** The folders of a package's versions that the lockfile has brought here. */
function installed(name: string): string[] {
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    packages: Record<string, unknown>;
  };
  const folders = Object.keys(lock.packages).filter((path) =>
    path.endsWith(`node_modules/${name}`),
  );
  const byVersion = folders
    .map((path) => join(root, path))
    .filter((folder) => existsSync(join(folder, "package.json")))
    .map((folder) => [describedIn(folder).version, folder] as const);
  return [...new Map(byVersion).values()];
}

function describedIn(folder: string): Published["description"] {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

function fromFolder(folder: string): Published {
  const options = ["--exclude", "node_modules", "-C", dirname(folder), basename(folder)];
  return { description: describedIn(folder), tarball: tar(["-czf", "-", ...options]) };
}

function fromTarball(file: string): Published {
  const text = tar(["-xzOf", file, "package/package.json"]).toString();
  return { description: JSON.parse(text), tarball: readFileSync(file) };
}

function tar(options: string[]): Buffer {
  return execFileSync("tar", options, { maxBuffer: 2 ** 28 });
}
