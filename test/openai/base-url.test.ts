import { splitBaseUrl } from "../../src/openai/base-url.js";

test.each([
  ["http://localhost:1234", "http://localhost:1234", "/v1"],
  ["http://localhost:1234/", "http://localhost:1234", "/v1"],
  ["http://localhost:1234/v1", "http://localhost:1234", "/v1"],
  ["http://localhost:1234/v1/", "http://localhost:1234", "/v1"],
  ["https://example.com/openai/v3", "https://example.com/openai", "/v3"],
  ["https://example.com/gateway", "https://example.com/gateway", "/v1"],
  ["https://me:secret@example.com/v1", "https://me:secret@example.com", "/v1"],
  ["https://example.com/v1beta", "https://example.com/v1beta", "/v1"],
])("%s is %s with the API at %s", (baseUrl, root, api) => {
  expect(splitBaseUrl(baseUrl)).toEqual({ root, api });
});
