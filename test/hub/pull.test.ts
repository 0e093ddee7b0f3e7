import {
  chmod,
  mkdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import {
  AbortError,
  AuthenticationError,
  ConnectionError,
  GenerationError,
  ModelLoadError,
  ModelNotFoundError,
  ProtocolError,
  TimeoutError,
  ValidationError,
} from "../../src/errors.js";
import { type Lock, tryLock } from "../../src/hub/lock.js";
import { pullFromHub } from "../../src/hub/pull.js";
import { RepositoryCache } from "../../src/hub/repository-cache.js";
import { bytes, HubFolders, modelFiles, NEEDED, SETTINGS } from "../helpers/hub-folders.js";
import { entryOf, gitHash, sha256, TOKEN } from "../servers/fake-hub.js";
import { HUB_FAULTS } from "../servers/hub-faults.js";
import { closedPort } from "../servers/ports.js";

jest.setTimeout(60_000);

let folders: HubFolders;

beforeEach(async () => {
  folders = await HubFolders.create({ "org/tiny": { files: modelFiles() } });
});
afterEach(() => folders.remove());

const filesOf = (name: string) => folders.hub.repositories[name]!.files;

describe("a download", () => {
  test("brings the needed files, and no others", async () => {
    await folders.pull("org/tiny");
    const contents = await folders.contents("org/tiny");
    expect(Object.keys(contents).sort()).toEqual(NEEDED);
    for (const name of NEEDED) {
      expect(contents[name]!.equals(Buffer.from(filesOf("org/tiny")[name]!))).toBe(true);
    }
  });

  test("brings what follows a model that embeds", async () => {
    const files = filesOf("org/tiny");
    const steps = ["modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"];
    for (const name of [...steps, "onnx/config.json"]) files[name] = Buffer.from("{}");
    await folders.pull("org/tiny");
    const paths = (await folders.paths()).join("\n");
    for (const name of steps) expect(paths).toContain(name);
    expect(paths).not.toContain("onnx");
  });

  test("lies in the cache as huggingface_hub lays it out", async () => {
    await folders.pull("org/tiny");
    const commit = folders.hub.commitOf("org/tiny");
    const weights = filesOf("org/tiny")["model.safetensors"]!;
    const pointer = folders.folder("org/tiny", "snapshots", commit, "model.safetensors");
    expect(await readlink(pointer)).toBe(`../../blobs/${sha256(weights)}`);
    expect(await readFile(folders.folder("org/tiny", "refs/main"), "utf8")).toBe(commit);
    const config = folders.folder(
      "org/tiny",
      "blobs",
      gitHash(filesOf("org/tiny")["config.json"]!),
    );
    expect((await stat(config)).isFile()).toBe(true);
    expect((await folders.paths()).filter((path) => /lock|incomplete|tmp/.test(path))).toEqual([]);
  });

  test("tells how far it has come, and where the model is", async () => {
    const told = await folders.pull("org/tiny");
    const size = filesOf("org/tiny")["model.safetensors"]!.length;
    expect(told[0]).toEqual({ status: "looking up org/tiny" });
    const steps = told.filter(({ status }) => status === "downloading model.safetensors");
    expect(steps.at(-1)).toMatchObject({ total: size, completed: size });
    const path = folders.folder("org/tiny", "snapshots", folders.hub.commitOf("org/tiny"));
    expect(told.at(-1)).toEqual({ status: "success", path });
  });

  test("of what is there asks for no file again", async () => {
    await folders.pull("org/tiny");
    folders.hub.requests.length = 0;
    await folders.pull("org/tiny");
    expect(folders.hub.requests.filter(({ path }) => !path.startsWith("/api/"))).toEqual([]);
  });

  test("of another revision brings only what is different", async () => {
    await folders.pull("org/tiny");
    folders.hub.repositories["org/tiny"]!.files["config.json"] = '{"model_type":"qwen3"}';
    folders.hub.requests.length = 0;
    await folders.pull("org/tiny");
    expect(folders.hub.requests.map(({ path }) => path.split("/").at(-1))).toEqual(
      expect.arrayContaining(["config.json"]),
    );
    expect(folders.hub.sent("model.safetensors")).toBe(0);
    expect(String((await folders.contents("org/tiny"))["config.json"])).toContain("qwen3");
  });

  test("of a branch with a slash in its name gets that name", async () => {
    folders.hub.repositories["org/tiny"]!.revisions = { "refs/pr/1": "c".repeat(40) };
    await folders.pull("org/tiny@refs/pr/1");
    expect(Object.keys(await folders.contents("org/tiny", "refs/pr/1")).sort()).toEqual(NEEDED);
  });

  test("of a commit makes no reference", async () => {
    await folders.pull(`org/tiny@${"d".repeat(40)}`);
    const paths = await folders.paths();
    expect(paths).toContain(`models--org--tiny/snapshots/${"d".repeat(40)}/config.json`);
    expect(paths.filter((path) => path.includes("/refs/"))).toEqual([]);
  });

  test("sends the token to the Hub, and to nobody else", async () => {
    await folders.pull("org/tiny", { env: { ...folders.env, HF_TOKEN: TOKEN } });
    const authorized = folders.hub.requests.map(({ server, headers }) => [
      server,
      headers.authorization,
    ]);
    const servers = new Set(authorized.map((each) => each.join()));
    expect([...servers].sort()).toEqual([`hub,Bearer ${TOKEN}`, "storage,"]);
  });

  test("takes the token of another hub, however it begins", async () => {
    folders.hub.repositories["org/private"] = { files: modelFiles(), access: "private" };
    folders.hub.token = "AKCp8tokenOfAnotherHub";
    await folders.pull("org/private", { env: { ...folders.env, HF_TOKEN: folders.hub.token } });
    expect(Object.keys(await folders.contents("org/private")).sort()).toEqual(NEEDED);
  });

  test("brings what several files have in common once", async () => {
    const weights = bytes(200_000);
    const files = {
      ...modelFiles(),
      "model-00001-of-00002.safetensors": weights,
      "model-00002-of-00002.safetensors": weights,
      "special_tokens_map.json": "{}",
    };
    folders.hub.repositories["org/same"] = { files };
    const told = await folders.pull("org/same");
    expect(folders.hub.sent("model.safetensors")).toBe(weights.length);
    const contents = await folders.contents("org/same");
    expect(contents["model-00002-of-00002.safetensors"]!.equals(weights)).toBe(true);
    expect(String(contents["special_tokens_map.json"])).toBe("{}");
    const [last] = told.filter(({ total }) => total === weights.length).slice(-1);
    expect(last!.completed).toBe(weights.length);
  });

  test("does not follow the list of files to another server with the token", async () => {
    const { hub } = folders;
    hub.repositories["org/tiny"]!.entries = [];
    hub.nextPage = `${hub.storageUrl}/page`;
    await folders.refusal("org/tiny", { env: { ...folders.env, HF_TOKEN: TOKEN } });
    const sent = hub.requests.filter(({ server }) => server === "storage");
    expect(sent.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("takes the shards that the index names", async () => {
    const index = {
      weight_map: { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" },
    };
    const files = {
      "config.json": "{}",
      "model.safetensors.index.json": JSON.stringify(index),
      "model-00001-of-00002.safetensors": bytes(6000, 6),
      "model-00002-of-00002.safetensors": bytes(6000, 7),
      "model.safetensors": bytes(6000, 8),
    };
    folders.hub.repositories["org/sharded"] = { files };
    await folders.pull("org/sharded");
    const { "model.safetensors": _, ...wanted } = files;
    expect(Object.keys(await folders.contents("org/sharded")).sort()).toEqual(
      Object.keys(wanted).sort(),
    );
  });

  test("takes the one GGUF file, or the one that was chosen", async () => {
    folders.hub.repositories["org/one"] = {
      files: { "a.gguf": bytes(5000, 9), "mmproj-a.gguf": "x" },
    };
    folders.hub.repositories["org/deep"] = {
      files: { "Q4/a.gguf": bytes(5000, 9), "b.gguf": "x" },
    };
    folders.hub.repositories["org/two"] = {
      files: { "a.gguf": bytes(5000, 9), "b.gguf": bytes(5000, 1) },
    };
    await folders.pull("org/one");
    await folders.pull("org/two", { file: "b.gguf" });
    const { path } = (await folders.pull("org/deep", { file: "Q4/a.gguf" })).at(-1)!;
    expect((await readFile(join(path!, "Q4/a.gguf"))).equals(bytes(5000, 9))).toBe(true);
    const offline = { file: "Q4/a.gguf", offline: true };
    expect((await folders.pull("org/deep", offline)).at(-1)).toEqual({ status: "success", path });
    expect(Object.keys(await folders.contents("org/one"))).toEqual(["a.gguf"]);
    expect(Object.keys(await folders.contents("org/two"))).toEqual(["b.gguf"]);
    const error = await folders.refusal("org/two");
    expect(error).toBeInstanceOf(ValidationError);
    expect(error.message).toBe("org/two has several GGUF files: a.gguf, b.gguf.");
    expect(error.hint).toContain("--file");
  });
});

test("a download of which nothing can be read leaves no folder behind", async () => {
  folders.hub.repositories["org/torch"] = { files: { "pytorch_model.bin": bytes(9000, 3) } };
  expect(await folders.refusal("org/torch")).toBeInstanceOf(ModelLoadError);
  await expect(stat(folders.folder("org/torch"))).rejects.toMatchObject({ code: "ENOENT" });
});

test("a download that waited while the model was removed begins anew", async () => {
  await folders.pull("org/tiny");
  const { lockFile } = new RepositoryCache(folders.cache, "org/tiny");
  const lock = (await tryLock(lockFile, () => {})) as Lock;
  const { signal } = new AbortController();
  const given = { model: "org/tiny", signal, env: folders.env };
  for await (const { status } of pullFromHub(given, SETTINGS)) {
    if (!status.startsWith("waiting for process")) continue;
    await rm(folders.folder("org/tiny"), { recursive: true });
    await lock.release();
  }
  expect(Object.keys(await folders.contents("org/tiny")).sort()).toEqual(NEEDED);
});

describe("offline", () => {
  test("finds what was downloaded, without asking anybody", async () => {
    const [path] = (await folders.pull("org/tiny")).slice(-1);
    folders.hub.requests.length = 0;
    expect(await folders.pull("org/tiny", { offline: true })).toEqual([path]);
    expect(
      await folders.pull("org/tiny", { env: { ...folders.env, HF_HUB_OFFLINE: "1" } }),
    ).toEqual([path]);
    expect(folders.hub.requests).toEqual([]);
  });

  test("says what is missing", async () => {
    const error = await folders.refusal("org/tiny", { offline: true });
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error.message).toBe(`org/tiny is not in ${folders.cache}, and this is offline.`);
    await folders.pull("org/tiny");
    const commit = folders.hub.commitOf("org/tiny");
    await rm(folders.folder("org/tiny", "snapshots", commit, "model.safetensors"));
    const broken = await folders.refusal("org/tiny", { offline: true });
    expect(broken).toBeInstanceOf(ModelLoadError);
    expect(broken.hint).toBe("Pull it without --offline, and without HF_HUB_OFFLINE.");
  });

  test("says that another file of a model was not downloaded", async () => {
    const files = { "a.gguf": bytes(5000, 9), "b.gguf": bytes(5000, 1) };
    folders.hub.repositories["org/two"] = { files };
    await folders.pull("org/two", { file: "b.gguf" });
    const error = await folders.refusal("org/two", { file: "a.gguf", offline: true });
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error.message).toBe(
      `a.gguf of org/two is not in ${folders.cache}, and this is offline.`,
    );
  });
});

describe("a server that fails", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "now and then, by chance %d, still gives the right bytes",
    async (seed) => {
      folders.hub.faults.byChance(
        seed,
        0.5,
        HUB_FAULTS.filter((fault) => fault !== "corrupt"),
      );
      await folders.pull("org/tiny", {}, { maxRetries: 30, timeout: 0.3 });
      expect(
        (await folders.contents("org/tiny"))["model.safetensors"]!.equals(bytes(200_000)),
      ).toBe(true);
    },
  );

  test.each([1, 2, 3, 4])(
    "and changes bytes, by chance %d, never gets them into the cache",
    async (seed) => {
      folders.hub.faults.byChance(seed, 0.4, ["corrupt", "cut"]);
      await folders.pull("org/tiny", {}, { maxRetries: 30 }).catch((error: unknown) => {
        expect(error).toMatchObject({ name: "ProtocolError", code: "wrong_content" });
      });
      for (const path of await folders.paths()) {
        const [, hash] = /blobs\/([0-9a-f]+)$/.exec(path) ?? [];
        if (!hash) continue;
        const content = await readFile(join(folders.cache, path));
        expect([sha256(content), gitHash(content)]).toContain(hash);
      }
    },
  );

  test("in the middle goes on from there", async () => {
    folders.hub.faults.plan("cut", { path: /^\/[0-9a-f]{64}/, times: 3 });
    await folders.pull("org/tiny");
    const ranges = folders.hub.requests.filter(({ headers }) => headers.range !== undefined);
    expect(ranges.length).toBeGreaterThan(0);
    expect(ranges.every(({ headers }) => headers["if-range"] !== undefined)).toBe(true);
    expect(folders.hub.sent("model.safetensors")).toBeLessThan(2 * 200_000);
  });

  test("to the end says so, and the next download goes on", async () => {
    folders.hub.faults.plan("cut", { path: new RegExp(sha256(bytes(200_000))), times: 99 });
    const error = await folders.refusal("org/tiny", {}, { maxRetries: 0 });
    expect(error).toBeInstanceOf(ConnectionError);
    expect(await folders.contents("org/tiny")).toEqual({});
    folders.hub.faults.clear();
    folders.hub.requests.length = 0;
    await folders.pull("org/tiny");
    const [first] = folders.hub.requests.filter(({ server }) => server === "storage");
    expect(first!.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
  });

  test("sends the wrong bytes again and again is refused", async () => {
    folders.hub.faults.plan("corrupt", { path: new RegExp(sha256(bytes(200_000))), times: 99 });
    const error = await folders.refusal("org/tiny");
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error.message).toContain(
      "model.safetensors of org/tiny came 3 times with the wrong content",
    );
    expect((await folders.paths()).filter((path) => path.includes("incomplete"))).toEqual([]);
  });

  test("says nothing any more is given up", async () => {
    folders.hub.faults
      .plan("hang", { path: /tokenizer.json/, times: 99 })
      .plan("hang", { times: 99 });
    const error = await folders.refusal("org/tiny", {}, { timeout: 0.1, maxRetries: 1 });
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error.message).toMatch(/^Nothing came from 127\.0\.0\.1:\d+ for 0\.1 s\.$/);
  });

  test("redirects in a circle is left", async () => {
    folders.hub.faults.plan("loop", { times: 99 });
    const error = await folders.refusal("org/tiny");
    expect(error.message).toContain("it redirects more than 10 times");
  });

  test("is none is not asked again and again", async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    const error = await folders.refusal("org/tiny", { env: { ...folders.env, HF_ENDPOINT: url } });
    expect(error).toMatchObject({
      code: "connection_refused",
      hint: expect.stringContaining("HF_ENDPOINT"),
    });
  });

  test("is a web page that wants a sign-in is told apart", async () => {
    folders.hub.faults.plan("html", { path: /^\/api/ });
    const error = await folders.refusal("org/tiny");
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error.message).toContain("does not answer as the Hub does");
    expect(error.hint).toContain("sign-in");
  });

  test("behind a proxy that is broken names the variable", async () => {
    process.env.http_proxy = `http://127.0.0.1:${await closedPort()}`;
    try {
      const env = { ...folders.env, HF_ENDPOINT: "http://hub.invalid" };
      const error = await folders.refusal("org/tiny", { env });
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error.message).toContain("cannot be reached through the proxy of http_proxy");
      expect(error.hint).toContain("NO_PROXY");
    } finally {
      delete process.env.http_proxy;
    }
  });
});

describe("what the Hub refuses", () => {
  const withToken = () => ({ env: { ...folders.env, HF_TOKEN: TOKEN } });

  test("a model that is not there", async () => {
    const error = await folders.refusal("org/nosuch");
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error.message).toBe(`${folders.hub.url} has no model "org/nosuch".`);
    expect(error.hint).toContain("HF_TOKEN");
    expect(await folders.refusal("org/nosuch", withToken())).toBeInstanceOf(ModelNotFoundError);
  });

  test("a private model without a token", async () => {
    folders.hub.repositories["org/private"] = { files: modelFiles(), access: "private" };
    expect(await folders.refusal("org/private")).toBeInstanceOf(ModelNotFoundError);
    await folders.pull("org/private", withToken());
    expect(Object.keys(await folders.contents("org/private")).sort()).toEqual(NEEDED);
  });

  test("a gated model, and says where to accept its terms", async () => {
    folders.hub.repositories["org/gated"] = { files: modelFiles(), access: "gated" };
    for (const request of [{}, withToken()]) {
      const error = await folders.refusal("org/gated", request);
      expect(error).toBeInstanceOf(AuthenticationError);
      expect(error).toMatchObject({ code: "gated" });
      expect(error.hint).toContain(`Accept its terms at ${folders.hub.url}/org/gated`);
    }
  });

  test("a token that is wrong, without repeating it", async () => {
    const token = "hf_someOtherTokenThatIsWrong";
    const error = await folders.refusal("org/tiny", { env: { ...folders.env, HF_TOKEN: token } });
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(JSON.stringify(error)).not.toContain(token);
  });

  test("a revision that is not there", async () => {
    const error = await folders.refusal("org/tiny@v9");
    expect(error).toBeInstanceOf(ModelNotFoundError);
    expect(error.message).toBe('org/tiny has no revision "v9".');
  });

  test("a file that is not there", async () => {
    const error = await folders.refusal("org/tiny", { file: "lost.gguf" });
    expect(error).toBeInstanceOf(ValidationError);
    expect(error.message).toBe('org/tiny has no file "lost.gguf".');
  });

  test("a model without weights that can be read", async () => {
    folders.hub.repositories["org/torch"] = {
      files: { "config.json": "{}", "pytorch_model.bin": "x" },
    };
    const error = await folders.refusal("org/torch");
    expect(error).toBeInstanceOf(ModelLoadError);
    expect(error.message).toBe("org/torch has no weights that MLX reads, only pytorch_model.bin.");
  });

  test.each([
    "./here",
    "/there",
    "org/../x",
    "a/b/c",
    "org/tiny@../x",
    "org--x/y",
    "",
    "org/tiny@a//b",
  ])("%j, which is no name", async (name) => {
    expect(await folders.refusal(name)).toBeInstanceOf(ValidationError);
    expect(folders.hub.requests).toEqual([]);
  });
});

describe("a hostile server", () => {
  const listing = (...entries: unknown[]) => {
    folders.hub.repositories["org/bad"] = { files: { "model.safetensors": bytes(5000) }, entries };
  };
  const weights = entryOf(["model.safetensors", bytes(5000)]);

  test.each([
    "../model.safetensors",
    "/tmp/model.safetensors",
    "model/../../../x.safetensors",
    "model\\..\\..\\x.safetensors",
    "model\0.safetensors",
    "model:stream.safetensors",
  ])("cannot name a file %j", async (path) => {
    listing({ ...weights, path }, entryOf(["config.json", "{}"]));
    expect(await folders.refusal("org/bad")).toBeInstanceOf(ModelLoadError);
    expect(
      (await folders.paths().catch(() => [])).filter(
        (name) => !name.startsWith("models--org--bad/blobs"),
      ),
    ).toEqual([]);
  });

  test("cannot have two files that are one on a Mac", async () => {
    listing(
      { ...weights, path: "model-a.safetensors" },
      { ...weights, path: "model-A.safetensors" },
    );
    expect((await folders.refusal("org/bad")).message).toContain(
      "model-a.safetensors and model-A.safetensors",
    );
  });

  test.each(["../../x", "a/b", "", "x".repeat(64), 7])("cannot call a content %j", async (oid) => {
    listing({ ...weights, lfs: { oid, size: 5000 } });
    expect(await folders.refusal("org/bad")).toBeInstanceOf(ProtocolError);
  });

  test.each(["../../../etc", "main", ""])("cannot call a commit %j", async (commit) => {
    folders.hub.repositories["org/bad"] = { files: modelFiles(), revisions: { main: commit } };
    const error = await folders.refusal("org/bad");
    expect(error.message).toContain("it names no commit");
  });

  test("cannot give another commit than the one that was asked for", async () => {
    folders.hub.pinned = "e".repeat(40);
    const error = await folders.refusal(`org/tiny@${"d".repeat(40)}`);
    expect(error.message).toContain(`it has ${"e".repeat(40)} in place of the commit`);
  });

  test("cannot name other files in the index", async () => {
    const index = JSON.stringify({ weight_map: { a: "../../x.safetensors" } });
    folders.hub.repositories["org/bad"] = {
      files: { ...modelFiles(), "model.safetensors.index.json": index },
    };
    const error = await folders.refusal("org/bad");
    expect(error.message).toContain('names "../../x.safetensors", which is not there');
  });

  test("cannot send more than it said", async () => {
    listing({ ...weights, lfs: { oid: sha256(bytes(5000)), size: 4500 } });
    const error = await folders.refusal("org/bad", {}, { maxRetries: 1 });
    expect(error.message).toBe("model.safetensors of org/bad has more than 4500 bytes.");
  });

  test("cannot promise more than the disk holds", async () => {
    listing({ ...weights, lfs: { oid: sha256(bytes(5000)), size: 1e15 } });
    const error = await folders.refusal("org/bad");
    expect(error).toMatchObject({ name: "GenerationError", code: "disk_full" });
    expect(error.message).toContain("needs 1000000.0 GB");
    expect(folders.hub.sent("model.safetensors")).toBe(0);
  });

  test("cannot list files without an end", async () => {
    listing(weights);
    folders.hub.nextPage = `${folders.hub.url}/api/models/org/bad/tree/${"a".repeat(40)}`;
    expect((await folders.refusal("org/bad")).message).toContain("its list of files does not end");
  });
});

describe("a cache with links in the way", () => {
  test.each(["blobs", "snapshots", "refs"])("%s is not followed outside", async (name) => {
    const outside = join(folders.home, "outside");
    await mkdir(outside);
    await mkdir(folders.folder("org/tiny"), { recursive: true });
    await symlink(outside, folders.folder("org/tiny", name));
    const error = await folders.refusal("org/tiny");
    expect(error).toBeInstanceOf(GenerationError);
    expect(error.message).toContain(`${name} is in the way`);
  });

  test("a link in place of an unfinished file is replaced", async () => {
    const victim = join(folders.home, "victim");
    await writeFile(victim, "precious");
    await mkdir(folders.folder("org/tiny", "blobs"), { recursive: true });
    const hash = sha256(bytes(200_000));
    await symlink(victim, folders.folder("org/tiny", "blobs", `${hash}.llm-client.incomplete`));
    await folders.pull("org/tiny");
    expect(await readFile(victim, "utf8")).toBe("precious");
  });

  test("a file of the wrong length is downloaded again", async () => {
    await folders.pull("org/tiny");
    const blob = folders.folder("org/tiny", "blobs", sha256(bytes(200_000)));
    await truncate(blob, 100);
    await folders.pull("org/tiny");
    expect((await readFile(blob)).equals(bytes(200_000))).toBe(true);
  });

  test("a folder that may not be written is named", async () => {
    if (process.getuid?.() === 0) await writeFile(folders.cache, "in the way");
    else await mkdir(folders.cache).then(() => chmod(folders.cache, 0o500));
    const error = await folders.refusal("org/tiny");
    expect(error).toMatchObject({ code: "pull_failed", hint: expect.stringContaining("HF_HOME") });
  });
});

describe("leaving a download", () => {
  const start = (signal: AbortSignal) =>
    pullFromHub({ model: "org/tiny", env: folders.env, signal }, SETTINGS);

  test("by its signal ends it at once and keeps what has come", async () => {
    folders.hub.pace = 400_000;
    const controller = new AbortController();
    const failing = (async () => {
      for await (const { status, completed } of start(controller.signal)) {
        if (status.endsWith("safetensors") && completed! > 0) controller.abort();
      }
    })();
    await expect(failing).rejects.toBeInstanceOf(AbortError);
    const paths = await folders.paths();
    expect(paths.filter((path) => path.endsWith(".incomplete"))).not.toEqual([]);
    expect(paths.filter((path) => path.startsWith(".locks"))).toEqual([]);
    folders.hub.pace = undefined;
    await folders.pull("org/tiny");
    expect((await folders.contents("org/tiny"))["model.safetensors"]!.equals(bytes(200_000))).toBe(
      true,
    );
  });

  test("by leaving the loop frees it for the next", async () => {
    folders.hub.pace = 400_000;
    for await (const { completed } of start(new AbortController().signal)) {
      if (completed !== undefined && completed > 0) break;
    }
    expect((await folders.paths()).filter((path) => path.startsWith(".locks"))).toEqual([]);
  });

  test("two of one model at a time wait for each other", async () => {
    folders.hub.pace = 2_000_000;
    const both = await Promise.all([folders.pull("org/tiny"), folders.pull("org/tiny")]);
    expect(folders.hub.sent("model.safetensors")).toBe(200_000);
    const told = both.flat().map(({ status }) => status);
    expect(told.some((status) => status.startsWith(`waiting for process ${process.pid}`))).toBe(
      true,
    );
  });
});
