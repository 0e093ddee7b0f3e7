import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { HubFolders, modelFiles, NEEDED } from "../helpers/hub-folders.js";
import { root } from "../helpers/markdown.js";

jest.setTimeout(60_000);

const python = join(root, ".cache/oracle/bin/python");
const describePython = existsSync(python)
  ? describe
  : (name: string, _body: () => void) =>
      describe(name, () => test.skip(`is not tested: there is no ${python}`, () => {}));

describePython("Python's huggingface_hub", () => {
  let folders: HubFolders;

  beforeEach(async () => {
    folders = await HubFolders.create({ "org/tiny": { files: modelFiles() } });
  });
  afterEach(() => folders.remove());

  const runPython = async (call: string) => {
    const code = `import huggingface_hub as hub\nprint(${call})`;
    const env = { PATH: process.env.PATH, ...folders.env, HF_HUB_DISABLE_XET: "1" };
    return (await promisify(execFile)(python, ["-c", code], { env })).stdout.trim();
  };

  test("finds what was pulled here", async () => {
    const { path } = (await folders.pull("org/tiny")).at(-1)!;
    folders.hub.requests.length = 0;
    expect(await runPython('hub.snapshot_download("org/tiny", local_files_only=True)')).toBe(path);
    expect(await runPython('hub.try_to_load_from_cache("org/tiny", "config.json")')).toBe(
      `${path}/config.json`,
    );
    const scanned = await runPython(
      "[(r.repo_id, len(r.revisions)) for r in hub.scan_cache_dir().repos]",
    );
    expect(scanned).toBe("[('org/tiny', 1)]");
    expect(folders.hub.requests).toEqual([]);
  });

  test("has downloaded what then need not be pulled", async () => {
    const patterns = JSON.stringify(NEEDED);
    const path = await runPython(`hub.snapshot_download("org/tiny", allow_patterns=${patterns})`);
    folders.hub.requests.length = 0;
    const told = await folders.pull("org/tiny");
    expect(told.at(-1)).toEqual({ status: "success", path });
    expect(folders.hub.requests.filter(({ path }) => !path.startsWith("/api/"))).toEqual([]);
  });
});
