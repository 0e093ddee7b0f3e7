import { splitBaseUrl } from "../../src/openai/base-url.js";

test.each([
  ["http://localhost:1234", "http://localhost:1234", "/v1"],
  ["http://localhost:1234/", "http://localhost:1234", "/v1"],
  ["http://localhost:1234/v1", "http://localhost:1234", "/v1"],
  ["http://localhost:1234/v1/", "http://localhost:1234", "/v1"],
  ["https://example.com/openai/v3", "https://example.com/openai", "/v3"],
  ["https://example.com/gateway", "https://example.com/gateway", "/v1"],
  ["https://me:secret@example.com/v1", "https://me:secret@example.com", "/v1"],
  ["https://example.com/api/v1", "https://example.com/api", "/v1"],
  ["https://example.com/v1beta/openai/", "https://example.com", "/v1beta/openai"],
  ["https://example.com/v1/me/openai", "https://example.com", "/v1/me/openai"],
  ["https://example.com/vision", "https://example.com/vision", "/v1"],
  ["http://v1", "http://v1", "/v1"],
  ["http://v1:8000/v1", "http://v1:8000", "/v1"],
])("%s is %s with the API at %s", (baseUrl, root, api) => {
  expect(splitBaseUrl(baseUrl)).toEqual({ root, api });
});
