import { type FileHandle, open } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigurationError } from "../errors.js";
import { expandHome, homeFolder } from "../home-folder.js";

/** Where the Hub is, and what it is told. */
export interface HubAddress {
  /** Without a slash at its end. */
  endpoint: string;
  token?: string;
}

const PUBLIC_HUB = "https://huggingface.co";
const LONGEST_TOKEN = 4096;
const TRUE = /^(1|on|yes|true)$/i;

/** The folder of the Hugging Face cache, which Python's tools use too. */
export function hubCache(env: NodeJS.ProcessEnv): string {
  const folder = env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(hubHome(env), "hub");
  return resolve(expandHome(folder, env));
}

/** Whether the environment forbids to ask the Hub. */
export function isOffline(env: NodeJS.ProcessEnv): boolean {
  return TRUE.test(env.HF_HUB_OFFLINE ?? "");
}

/** The Hub's address, and the token of the environment or of the file of `hf auth login`. */
export async function readHubAddress(env: NodeJS.ProcessEnv): Promise<HubAddress> {
  return { endpoint: endpointOf(env), token: await tokenOf(env) };
}

function hubHome(env: NodeJS.ProcessEnv): string {
  const cache = env.XDG_CACHE_HOME || join(homeFolder(env), ".cache");
  return env.HF_HOME || join(cache, "huggingface");
}

function endpointOf(env: NodeJS.ProcessEnv): string {
  const text = env.HF_ENDPOINT?.trim() || PUBLIC_HUB;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && !/[?#@]/.test(text)) {
    return text.replace(/\/+$/, "");
  }
  throw new ConfigurationError(`HF_ENDPOINT is "${text}", which is not the address of a hub.`, {
    hint: "Write it as https://host without a name or password, or unset it.",
  });
}

async function tokenOf(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  if (TRUE.test(env.HF_HUB_DISABLE_IMPLICIT_TOKEN ?? "")) return undefined;
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const given = env[name]?.trim();
    if (given) return checkedToken(given, name);
  }
  const file = expandHome(env.HF_TOKEN_PATH || join(hubHome(env), "token"), env);
  const text = (await readTokenFile(file)).trim();
  return text === "" ? undefined : checkedToken(text, file);
}

async function readTokenFile(file: string): Promise<string> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file);
    // It may also be a pipe, of which nobody knows the end.
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(2 * LONGEST_TOKEN));
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return "";
    throw new ConfigurationError(`The token in ${file} cannot be read: ${message}.`, {
      hint: "Correct the file, or set HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to send none.",
      cause: error,
    });
  } finally {
    await handle?.close();
  }
}

/** The token itself stays out of the message. */
function checkedToken(token: string, origin: string): string {
  if (token.length <= LONGEST_TOKEN && /^[\x21-\x7e]+$/.test(token)) return token;
  throw new ConfigurationError(
    `The token of ${origin} holds characters that a header cannot carry, or is too long.`,
    { hint: "Copy it anew from https://huggingface.co/settings/tokens." },
  );
}
