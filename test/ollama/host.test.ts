import { ConfigurationError } from "../../src/errors.js";
import { parseOllamaHost } from "../../src/ollama/host.js";

test.each([
  ["", "http://127.0.0.1:11434"],
  ["   ", "http://127.0.0.1:11434"],
  ['""', "http://127.0.0.1:11434"],
  ["localhost", "http://localhost:11434"],
  ["example.com", "http://example.com:11434"],
  ["example.com:1234", "http://example.com:1234"],
  ["example.com:", "http://example.com:11434"],
  ["Example.COM", "http://example.com:11434"],
  [":1234", "http://127.0.0.1:1234"],
  [":80", "http://127.0.0.1"],
  [":", "http://127.0.0.1:11434"],
  ["127.0.0.1", "http://127.0.0.1:11434"],
  ["127.0.0.1:5678", "http://127.0.0.1:5678"],
  ["0.0.0.0", "http://127.0.0.1:11434"],
  ["0.0.0.0:5678", "http://127.0.0.1:5678"],
  ["http://0.0.0.0:5678", "http://127.0.0.1:5678"],
  ["https://0.0.0.0", "https://127.0.0.1"],
  ["::", "http://[::1]:11434"],
  ["[::]", "http://[::1]:11434"],
  ["[::]:5678", "http://[::1]:5678"],
  ["http://[::]:5678/", "http://[::1]:5678"],
  ["::1", "http://[::1]:11434"],
  ["[::1]", "http://[::1]:11434"],
  ["[::1]:5678", "http://[::1]:5678"],
  ["fe80::5:1", "http://[fe80::5:1]:11434"],
  ["https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"],
  ["http://example.com", "http://example.com"],
  ["http://example.com:80", "http://example.com"],
  ["http://example.com:11434", "http://example.com:11434"],
  ["https://example.com", "https://example.com"],
  ["https://example.com:443", "https://example.com"],
  ["HTTPS://example.com", "https://example.com"],
  ["http://:5678", "http://127.0.0.1:5678"],
  ["https://", "https://127.0.0.1"],
  ["https://user:secret@example.com:8443", "https://user:secret@example.com:8443"],
  ["example.com/ollama", "http://example.com:11434/ollama"],
  ["example.com:1234/", "http://example.com:1234"],
  ["https://example.com/a/b/", "https://example.com/a/b"],
  ["https://example.com//", "https://example.com"],
  [" example.com:1234 ", "http://example.com:1234"],
  ['"example.com:1234"', "http://example.com:1234"],
  [" 'https://example.com' ", "https://example.com"],
  ['"example.com ', "http://example.com:11434"],
  ["ollama.com", "https://ollama.com"],
  ["my_server", "http://my_server:11434"],
])("%j means %s", (text, address) => {
  expect(parseOllamaHost(text)).toBe(address);
});

test.each([
  ["example.com:port"],
  ["example.com:65536"],
  ["example.com:-1"],
  ["exa mple.com"],
  ["ftp://example.com"],
  ["unix:///run/ollama.sock"],
  ["://example.com"],
  ["[::1"],
  ["[example.com]"],
  ["1:2:3:4:5:6:7:8:9"],
  ["example.com?a=b"],
  ["https://example.com/a#b"],
])("%j is refused", (text) => {
  const parse = () => parseOllamaHost(text);
  expect(parse).toThrow(ConfigurationError);
  expect(parse).toThrow(`OLLAMA_HOST is ${JSON.stringify(text)}, but must be a host`);
});
