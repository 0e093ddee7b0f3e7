/** Where a server is, and where on it its OpenAI-compatible API. */
export interface ServerAddress {
  /** Address without that path, for what the server has besides. */
  root: string;
  /** For example "/v1". */
  api: string;
}

/**
 * Takes a base URL apart. People write it with and without the version at its end.
 * @example splitBaseUrl("http://localhost:1234"); // { root: "http://localhost:1234", api: "/v1" }
 */
export function splitBaseUrl(baseUrl: string): ServerAddress {
  const [, root = "", version = "/v1"] = /^(.*?)(\/v\d+)?\/*$/is.exec(baseUrl) ?? [];
  return { root, api: version };
}
