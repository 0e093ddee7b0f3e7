import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readImages, readSchema } from "../../src/cli/attachments.js";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "attachments-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileWith(content: string | Buffer): Promise<string> {
  const file = join(folder, "file");
  await writeFile(file, content);
  return file;
}

describe("images", () => {
  test.each([
    ["image/png", "\x89PNG\r\n\x1a\n…"],
    ["image/jpeg", "\xff\xd8\xff\xe0\x00\x10JFIF"],
    ["image/gif", "GIF89a"],
    ["image/webp", "RIFF\x24\x00\x00\x00WEBPVP8 "],
  ])("%s is known by its first bytes", async (mediaType, text) => {
    const image = Buffer.from(text, "latin1");
    expect(await readImages([await fileWith(image)])).toEqual([
      { type: "image", image, mediaType },
    ]);
  });

  test.each(["", "GIF", "RIFF\x24\x00\x00\x00WAVEfmt ", "<svg/>"])("%j is none", async (text) => {
    const file = await fileWith(text);
    await expect(readImages([file])).rejects.toMatchObject({
      name: "UsageError",
      message: `The image ${file} is no PNG, JPEG, GIF or WebP file.`,
    });
  });

  test("keep their order", async () => {
    const [first, second] = [join(folder, "1.gif"), join(folder, "2.gif")];
    await writeFile(first, "GIF87a");
    await writeFile(second, "GIF89a");
    const images = await readImages([second, first]);
    expect(images.map(({ image }) => String(image))).toEqual(["GIF89a", "GIF87a"]);
  });

  test("that cannot be read are named with the reason", async () => {
    const file = join(folder, "missing.png");
    await expect(readImages([file])).rejects.toThrow(`The image ${file} does not exist.`);
    await expect(readImages([folder])).rejects.toThrow(`The image ${folder} is a folder.`);
  });
});

describe("schemas", () => {
  test("may be written out, or stand in a file", async () => {
    expect(await readSchema(' {"type": "object"}')).toEqual({ type: "object" });
    expect(await readSchema(await fileWith('\uFEFF{"type": "object"}\n'))).toEqual({
      type: "object",
    });
  });

  test.each([
    ["[]", "is no JSON object."],
    ["null", "is no JSON object."],
    ["type: object", "is not JSON: "],
  ])("%j in a file is refused", async (text, reason) => {
    const file = await fileWith(text);
    await expect(readSchema(file)).rejects.toThrow(`The schema ${file} ${reason}`);
  });

  test("that are neither are refused", async () => {
    await expect(readSchema("{]")).rejects.toThrow("The schema is not JSON: ");
    await expect(readSchema("person.json")).rejects.toThrow(
      "The schema person.json does not exist.",
    );
  });
});
