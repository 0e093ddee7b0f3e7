import { unescape as decoded } from "node:querystring";
import { ConfigurationError } from "../errors.js";
import type { HttpSettings } from "./http-client.js";

const LONGEST_REQUEST_ID = 256;

/** The base URL of a server; throws if it cannot be one. */
export function checkedUrl({ baseUrl, provider }: HttpSettings): URL {
  const details = { provider, url: baseUrl, hint: "Write it as http://host:port." };
  // URL.parse came only with Node 22.
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) {
    throw new ConfigurationError(`baseUrl "${baseUrl}" is not an http or https address.`, details);
  }
  if (url.search || url.hash) {
    throw new ConfigurationError(`baseUrl "${baseUrl}" may not have a query or a hash.`, details);
  }
  return url;
}

/** The header that authorizes: a key as a bearer token, or user and password from the URL. */
export function authorizationOf(
  { apiKey, provider }: HttpSettings,
  { username, password }: URL,
): Record<string, string> {
  const hasUser = username !== "" || password !== "";
  if (!apiKey && !hasUser) return {};
  if (apiKey && hasUser) {
    throw new ConfigurationError("Only one can be sent: apiKey, or the user in baseUrl.", {
      provider,
    });
  }
  if (apiKey) {
    // The key itself stays out of the message.
    if (!/^[\x21-\x7e]+$/.test(apiKey)) {
      const message = "apiKey holds characters that a header cannot carry, perhaps a line break.";
      throw new ConfigurationError(message, { provider });
    }
    return { authorization: `Bearer ${apiKey}` };
  }
  const user = `${decoded(username)}:${decoded(password)}`;
  return { authorization: `Basic ${Buffer.from(user).toString("base64")}` };
}

/** What a server must not be heard repeating: what was sent, and the password in it. */
export function secretsOf(
  { authorization }: Record<string, string>,
  { password }: URL,
): string[] | undefined {
  if (authorization === undefined) return undefined;
  const sent = authorization.slice(authorization.indexOf(" ") + 1);
  return [sent, password, decoded(password)];
}

/** A request id as a header can carry it; anything else is percent-encoded, what is too long is cut. */
export function requestIdHeader(requestId: string): string {
  const encoded = requestId.replace(/[^\x21-\x7e]+/g, (text) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  );
  return encoded.slice(0, LONGEST_REQUEST_ID);
}
