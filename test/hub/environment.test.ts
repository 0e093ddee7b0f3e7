import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hubCache, isOffline, readHubAddress } from "../../src/hub/environment.js";

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "hub-home-"));
});
afterEach(() => rm(home, { recursive: true }));

const tokenOf = async (env: Record<string, string>) =>
  (await readHubAddress({ HOME: home, HF_HOME: home, ...env })).token;

test.each<[Record<string, string>, string]>([
  [{}, "/home/ada/.cache/huggingface/hub"],
  [{ XDG_CACHE_HOME: "/cache" }, "/cache/huggingface/hub"],
  [{ HF_HOME: "/hf", XDG_CACHE_HOME: "/cache" }, "/hf/hub"],
  [{ HUGGINGFACE_HUB_CACHE: "/old", HF_HOME: "/hf" }, "/old"],
  [{ HF_HUB_CACHE: "~/new", HUGGINGFACE_HUB_CACHE: "/old" }, "/home/ada/new"],
])("%j: the cache is %s", (env, folder) => {
  expect(hubCache({ HOME: "/home/ada", ...env })).toBe(folder);
});

test.each([
  ["1", true],
  ["on", true],
  ["TRUE", true],
  ["0", false],
  ["", false],
  [undefined, false],
])("HF_HUB_OFFLINE=%s", (value, expected) => {
  expect(isOffline({ HF_HUB_OFFLINE: value })).toBe(expected);
});

describe("the token", () => {
  test("is that of the environment, else of the file", async () => {
    await writeFile(join(home, "token"), "hf_ofFile\n");
    await writeFile(join(home, "other"), "hf_ofOther\n");
    expect(await tokenOf({})).toBe("hf_ofFile");
    expect(await tokenOf({ HF_TOKEN_PATH: join(home, "other") })).toBe("hf_ofOther");
    expect(await tokenOf({ HUGGING_FACE_HUB_TOKEN: "hf_old" })).toBe("hf_old");
    expect(await tokenOf({ HUGGING_FACE_HUB_TOKEN: "hf_old", HF_TOKEN: " hf_new\n" })).toBe(
      "hf_new",
    );
    expect(
      await tokenOf({ HF_TOKEN: "hf_new", HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }),
    ).toBeUndefined();
  });

  test("need not be there", async () => {
    expect(await tokenOf({})).toBeUndefined();
  });

  test("that no header can carry is refused without being repeated", async () => {
    const failing = tokenOf({ HF_TOKEN: "hf_two\nlines" });
    await expect(failing).rejects.toMatchObject({
      name: "ConfigurationError",
      message: expect.stringMatching(/^The token of HF_TOKEN(?!.*lines)/),
    });
  });

  test("is looked for in no more than the beginning of a file", async () => {
    const failing = tokenOf({ HF_TOKEN_PATH: "/dev/zero" });
    await expect(failing).rejects.toThrow("The token of /dev/zero holds characters");
  });

  test("that is there, but cannot be read, is told", async () => {
    await expect(tokenOf({ HF_TOKEN_PATH: home })).rejects.toMatchObject({
      name: "ConfigurationError",
      message: expect.stringContaining(`${home} cannot be read: EISDIR`),
      hint: expect.stringContaining("HF_HUB_DISABLE_IMPLICIT_TOKEN"),
    });
  });
});

test.each([
  "huggingface.co",
  "ftp://hub",
  "https://user:pass@hub",
  "https://:pass@hub",
  "https://hub?x=1",
])("HF_ENDPOINT=%s is refused", async (HF_ENDPOINT) => {
  const reading = readHubAddress({ HOME: home, HF_ENDPOINT });
  await expect(reading).rejects.toThrow(/^HF_ENDPOINT is (?!.*pass)/);
});

test("HF_ENDPOINT names another hub", async () => {
  const { endpoint } = await readHubAddress({ HOME: home, HF_ENDPOINT: "https://hub.example/hf/" });
  expect(endpoint).toBe("https://hub.example/hf");
  expect((await readHubAddress({ HOME: home })).endpoint).toBe("https://huggingface.co");
});
