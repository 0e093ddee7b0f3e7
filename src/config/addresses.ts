import { isAbsolute, resolve } from "node:path";
import { redactSecrets } from "../errors.js";
import type { ProviderName } from "../types.js";

/** Where a provider is, and whether that was understood. */
export type Place = { place: string } | { allowed: string };

const ADDRESS = "the http(s) address of a server, without query";
const FOLDER_OR_ADDRESS = "a folder, or the http(s) address of a server, without query";
const HOST_WITH_PORT = /^(?:\[[\da-f:.]+\]|[\w.-]+):\d+(?:\/|$)/i;

/** Whether a text can only be the address of a server: a URL, or a host with a port. */
export function isAddress(text: string): boolean {
  return /^https?:/i.test(text) || text.includes("://") || HOST_WITH_PORT.test(text);
}

/** Whether a text can only be a path; one that starts with a name may also be a host. */
export function isPath(text: string): boolean {
  return /^(?:[./~]|[a-z]:[\\/])/i.test(text) || (text.includes("\\") && !isAddress(text));
}

/**
 * The normal form of what stands in `baseUrl`: an address without slashes at its end, or a folder.
 * @example
 * placeOf("ollama", "localhost:11434/"); // { place: "http://localhost:11434" }
 */
export function placeOf(provider: ProviderName, text: string, folder?: string): Place {
  const server = provider !== "mlx";
  if (!server && !isAddress(text)) return { place: fromFolder(text, folder) };
  const address = server && isPath(text) ? undefined : normalAddress(text);
  return address === undefined
    ? { allowed: server ? ADDRESS : FOLDER_OR_ADDRESS }
    : { place: address };
}

/** Whether an address is on this machine, whoever answers names. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === "localhost" || hostname === "[::1]" || /^127(?:\.\d+){3}$/.test(hostname);
}

/** Whether two addresses are of the same server. */
export function isSameServer(one: string, other: string): boolean {
  return new URL(one).origin === new URL(other).origin;
}

/** An address that can be shown: without credentials and query. */
export function showAddress(text: string): string {
  const shown = text.replace(/^([a-z][a-z\d+.-]*:\/\/)?.*@/is, "$1[redacted]@");
  return redactSecrets(shown.replace(/[?#].*/s, "?…"));
}

/** A path in a file starts at the folder of that file; `~` is left to whoever opens it. */
export function fromFolder(path: string, folder?: string): string {
  return folder === undefined || isAbsolute(path) || path.startsWith("~")
    ? path
    : resolve(folder, path);
}

function normalAddress(text: string): string | undefined {
  // URL would forgive these, and mean another address than the one that is read here.
  if (/[\s\\?#]|^https?:(?!\/\/)/i.test(text)) return undefined;
  const full = text.includes("://") ? text : `http://${text}`;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  return url && /^https?:$/.test(url.protocol) ? url.href.replace(/\/+$/, "") : undefined;
}
