/** Where a server is, and where on it its OpenAI-compatible API. */
export interface ServerAddress {
  /** Address without that path, for what the server has besides. */
  root: string;
  /** For example "/v1". */
  api: string;
}

/**
 * Takes a base URL apart. People write it with and without the version at its end; some servers
 * have more behind the version.
 * @example
 * splitBaseUrl("http://localhost:1234"); // { root: "http://localhost:1234", api: "/v1" }
 * splitBaseUrl("https://example.com/v1beta/openai"); // { …, api: "/v1beta/openai" }
 */
export function splitBaseUrl(baseUrl: string): ServerAddress {
  const [, root = "", api = "/v1"] =
    /^(.*?[^/])(\/v\d+[a-z\d]*(?:\/.*?[^/])?)?\/*$/i.exec(baseUrl) ?? [];
  return { root, api };
}
