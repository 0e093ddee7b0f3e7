import { ConfigurationError } from "../errors.js";

const DEFAULT_PORT = "11434";
/** Addresses to listen on, not to connect to. */
const LOOPBACK = new Map([
  ["0.0.0.0", "127.0.0.1"],
  ["[::]", "[::1]"],
]);

/**
 * The address that a value of `OLLAMA_HOST` means to a client. The same variable also tells Ollama
 * where to listen, so any part of it may be missing.
 * @example parseOllamaHost("0.0.0.0:8080"); // "http://127.0.0.1:8080"
 */
export function parseOllamaHost(text: string): string {
  const value = text.replace(/^[\s"']+|[\s"']+$/g, "");
  const [, scheme, authority = "", path = ""] =
    /^(?:([^:/]*):\/\/)?([^/]*)(\/.*)?$/s.exec(value) ?? [];
  const [, credentials = "", place = ""] = /^(.*@)?(.*)$/s.exec(authority) ?? [];
  const [host, port] = splitPort(place);
  const isCloud = scheme === undefined && value === "ollama.com";
  const defaultPort = scheme === undefined && !isCloud ? DEFAULT_PORT : "";
  const protocol = isCloud ? "https" : (scheme ?? "http");
  const address = `${protocol}://${credentials}${host || "127.0.0.1"}:${port || defaultPort}${path}`;
  return addressOf(address, text);
}

/** Host and port; a bare IPv6 address is all host. */
function splitPort(place: string): [host: string, port: string] {
  if (/^[^[\]]*:[^[\]]*:/.test(place)) return [`[${place}]`, ""];
  const [, host = place, port = ""] = /^(.*):([^:\]]*)$/s.exec(place) ?? [];
  return [host, port];
}

function addressOf(address: string, text: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash) {
    throw new ConfigurationError(
      `OLLAMA_HOST is ${JSON.stringify(text)}, but must be a host, a port such as ":11434", both, ` +
        "or an http(s) address.",
    );
  }
  url.hostname = LOOPBACK.get(url.hostname) ?? url.hostname;
  return url.href.replace(/\/+$/, "");
}
