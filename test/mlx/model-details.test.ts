import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { capabilitiesOf } from "../../src/mlx/model-capabilities.js";
import { showLocalModel } from "../../src/mlx/model-details.js";
import { DEMO_FOLDER } from "../../src/mlx/model-places.js";
import { seeingModel } from "../helpers/vision-fixtures.js";

const fixture = (name: string) => join(__dirname, "../fixtures/models", name);

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "details-"));
});
afterEach(() => rm(folder, { recursive: true }));

test("tells all that is known of a model without loading it", async () => {
  const details = await showLocalModel("demo", DEMO_FOLDER);
  expect(details).toMatchObject({
    id: "demo",
    family: "qwen3",
    hasTemplate: true,
    capabilities: expect.arrayContaining(["completion"]),
    path: DEMO_FOLDER,
  });
  expect(details.files).toContainEqual({ name: "config.json", size: expect.any(Number) });
});

// Counted with mlx-lm's own get_total_parameters.
test.each([
  ["llama", 26784],
  ["llama-sharded", 26784],
  ["quantized-affine-4", 217728],
  ["quantized-affine-3", 59712],
  ["quantized-mixed", 54592],
  ["quantized-mxfp4", 59712],
])("%s has %d parameters", async (name, count) => {
  expect((await showLocalModel(name, fixture(name))).parameters).toBe(count);
});

test("does not guess the parameters of what others have packed", async () => {
  const details = await showLocalModel("x", fixture("foreign-gptq-8"));
  expect(details.parameters).toBeUndefined();
});

test.each([
  ["---\nlicense: apache-2.0\ntags: []\n---\n# Tiny", "apache-2.0"],
  ['---\r\nlicense: "mit"\r\n---\r\n', "mit"],
  ["---\nlicense: other\nlicense_name: gemma\n---\n", "gemma"],
  ["# No front matter\nlicense: mit\n", undefined],
  ["---\nlicense: mit\n", undefined],
])("the licence of %j is %s", async (text, license) => {
  await writeFile(join(folder, "README.md"), text);
  expect((await showLocalModel("x", folder)).license).toBe(license);
});

test("a licence of many spaces does not take seconds", async () => {
  const license = `a${" ".repeat(60_000)}b`;
  await writeFile(join(folder, "README.md"), `---\nlicense: ${license}\n---\n`);
  const startedAt = performance.now();
  expect((await showLocalModel("x", folder)).license).toBe(license);
  expect(performance.now() - startedAt).toBeLessThan(1000);
});

test("of a GGUF file tells nothing of what lies beside it", async () => {
  await cp(join(__dirname, "../fixtures/gguf/llama-f32.gguf"), join(folder, "tiny.gguf"));
  await writeFile(join(folder, "README.md"), "---\nlicense: mit\n---\n");
  const details = await showLocalModel("tiny", join(folder, "tiny.gguf"));
  expect(details.files!.map(({ name }) => name)).toEqual(["tiny.gguf"]);
  expect(details.license).toBeUndefined();
});

test("a folder without a model is told as broken", async () => {
  const details = await showLocalModel("x", folder);
  expect(details).toMatchObject({ usable: false, description: expect.stringMatching(/^Broken: /) });
});

test.each([
  ["sees with its tower", seeingModel, true],
  ["only reads, where it was cut down to text", fixture("gemma3"), false],
])("a model of a kind that sees %s", async (_, model, sees) => {
  const { capabilities } = await showLocalModel("x", model);
  expect(capabilities!.includes("vision")).toBe(sees);
});

test.each<[string, boolean, string[]]>([
  ["{{ messages }}", false, []],
  ["{% if tools %}{% endif %}", false, ["tools"]],
  ["{% if enable_thinking %}{% endif %}", false, ["thinking"]],
  ["<think>", true, ["thinking", "vision"]],
])("a model with the template %j that sees (%j) can %j", async (template, sees, more) => {
  await cp(fixture("llama"), folder, { recursive: true });
  await writeFile(join(folder, "chat_template.jinja"), template);
  const files = { folder, sees, purpose: "generating" } as const;
  expect(await capabilitiesOf(files)).toEqual(["completion", ...more]);
});
