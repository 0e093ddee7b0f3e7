import sharp from "sharp";
import { decodeImage, imageBytes } from "../../../src/mlx/vision/decode-image.js";
import { processImage, readImageProcessor } from "../../../src/mlx/vision/image-processor.js";
import { largestDifference } from "../../helpers/model-fixtures.js";
import {
  goldenPixels,
  pictureBytes,
  pictures,
  seeingModel,
} from "../../helpers/vision-fixtures.js";

const PLACE = "messages[0].content[0].image";
const { signal } = new AbortController();

async function pixelsOf(bytes: Uint8Array): Promise<Float32Array> {
  const processor = await readImageProcessor(seeingModel, 28);
  return (await processImage(await decodeImage(bytes, PLACE), processor, signal)).pixels;
}

/**
 * One of 256 steps, where a colour's deviation is a quarter: libraries round JPEGs differently, and
 * Pillow 13 begins with the columns where that is less work.
 */
const STEP = 1 / 255 / 0.25 + 1e-6;

test.each(pictures)("%s becomes the pixels that Pillow makes of it", async (name) => {
  const pixels = await pixelsOf(pictureBytes(name));
  expect(largestDifference(pixels, goldenPixels(name))).toBeLessThan(STEP);
});

test("bytes and data: URLs are images", () => {
  const bytes = pictureBytes("wide.png");
  const url = `data:image/png;base64,${Buffer.from(bytes).toString("base64")}`;
  expect(imageBytes({ type: "image", image: bytes }, PLACE)).toBe(bytes);
  expect(Buffer.compare(imageBytes({ type: "image", image: url }, PLACE), bytes)).toBe(0);
});

test.each(["https://example.test/cat.png", "file:///etc/passwd", "/etc/passwd", "data:,hello"])(
  "%s is not fetched",
  (image) => {
    expect(() => imageBytes({ type: "image", image }, PLACE)).toThrow(
      expect.objectContaining({ code: "unsupported", message: expect.stringContaining(image) }),
    );
  },
);

describe("refuses what is no image", () => {
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');

  test.each<[string, Uint8Array, string]>([
    ["nothing", new Uint8Array(), "is no PNG, JPEG, WebP or GIF file"],
    ["text", Buffer.from("hello"), "is no PNG, JPEG, WebP or GIF file"],
    ["an SVG, which may name other files", svg, "is no PNG, JPEG, WebP or GIF file"],
    ["a PNG that is cut off", pictureBytes("wide.png").subarray(0, 900), "cannot be read"],
    ["a JPEG that is cut off", pictureBytes("tall.jpg").subarray(0, 700), "cannot be read"],
    ["a beginning alone", pictureBytes("small.webp").subarray(0, 16), "cannot be read"],
  ])("%s", async (_, bytes, message) => {
    await expect(decodeImage(bytes, PLACE)).rejects.toMatchObject({
      name: "ValidationError",
      code: "bad_image",
      message: expect.stringContaining(`${PLACE} ${message}`),
    });
  });

  test("one with more pixels than memory should hold, before it is decoded", async () => {
    const bomb = await sharp({
      create: { width: 9000, height: 9000, channels: 3, background: "red" },
    })
      .png({ compressionLevel: 9 })
      .toBuffer();
    expect(bomb.length).toBeLessThan(1_000_000);
    await expect(decodeImage(bomb, PLACE)).rejects.toMatchObject({
      code: "bad_image",
      message: expect.stringContaining("pixel limit"),
    });
  });
});
