import { join } from "node:path";
import {
  isAddress,
  isLoopback,
  isPath,
  isSameServer,
  placeOf,
  showAddress,
} from "../../src/config/addresses.js";

test.each([
  ["http://localhost:11434", "http://localhost:11434"],
  ["HTTP://LocalHost:11434///", "http://localhost:11434"],
  ["https://example.org/ollama/", "https://example.org/ollama"],
  ["localhost:11434", "http://localhost:11434"],
  ["box", "http://box"],
  ["192.168.1.7:8080/v1/", "http://192.168.1.7:8080/v1"],
  ["[::1]:1234", "http://[::1]:1234"],
  ["http://ada:secret@box:1/", "http://ada:secret@box:1"],
])("the address of a server %s becomes %s", (text, place) => {
  expect(placeOf("ollama", text)).toEqual({ place });
});

test.each([
  "./models",
  "/models",
  "~/models",
  "..",
  "C:\\models",
  "C:/models",
  "ftp://box",
  "file:///models",
  "http:box",
  "http:/box",
  "http://",
  "http://box:99999",
  "http://box?key=1",
  "http://box/#top",
  "http://bo x",
  "http://box\n",
  "http:\\\\box",
  ":11434",
])("%j is no address of a server", (text) => {
  expect(placeOf("lmstudio", text)).toEqual({ allowed: expect.stringContaining("http(s)") });
});

test.each([
  ["./models", "./models"],
  ["org/name", "org/name"],
  ["localhost", "localhost"],
  ["http://localhost:8080/", "http://localhost:8080"],
  ["localhost:8080", "http://localhost:8080"],
])("for mlx %s means %s", (text, place) => {
  expect(placeOf("mlx", text)).toEqual({ place });
});

test.each(["ftp://box", "http://box?x", "https:box"])("%s is no place for mlx", (text) => {
  expect(placeOf("mlx", text)).toEqual({ allowed: expect.stringContaining("a folder, or the") });
});

test("a folder in a file starts where that file is", () => {
  const folder = join("/etc", "llm");
  expect(placeOf("mlx", "./models", folder)).toEqual({ place: join(folder, "models") });
  expect(placeOf("mlx", "/models", folder)).toEqual({ place: "/models" });
  expect(placeOf("mlx", "~/models", folder)).toEqual({ place: "~/models" });
});

test("addresses and paths are told apart, and a name may be either", () => {
  const kinds = (text: string) => [isAddress(text), isPath(text)];
  expect(kinds("http://box")).toEqual([true, false]);
  expect(kinds("box:8080")).toEqual([true, false]);
  expect(kinds("./box:8080")).toEqual([false, true]);
  expect(kinds("C:\\models")).toEqual([false, true]);
  expect(kinds("models\\tiny")).toEqual([false, true]);
  expect(kinds("models/tiny")).toEqual([false, false]);
});

test.each([
  ["http://localhost:1", true],
  ["http://127.0.0.1", true],
  ["http://127.1:80", true],
  ["https://[::1]:1234/v1", true],
  ["http://127.0.0.1.evil.example", false],
  ["http://localhost.evil.example", false],
  ["http://0.0.0.0:11434", false],
  ["http://192.168.1.7", false],
  ["http://localhost@evil.example", false],
])("%s on this machine: %s", (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});

test("two addresses are of one server if scheme, host and port are the same", () => {
  expect(isSameServer("https://box/v1", "https://ada:pw@box:443")).toBe(true);
  expect(isSameServer("https://box", "http://box")).toBe(false);
  expect(isSameServer("http://box:1", "http://box:2")).toBe(false);
});

test.each([
  ["http://ada:pa/ss@box/x", "http://[redacted]@box/x"],
  ["ada:p@ss@box:1", "[redacted]@box:1"],
  ["http://box/x?t=1#y", "http://box/x?…"],
  ["http://box", "http://box"],
])("%s is shown as %s", (text, shown) => {
  expect(showAddress(text)).toBe(shown);
});
