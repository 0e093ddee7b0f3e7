import type { LoadedModel } from "../model.js";
import type { NativeImage } from "../native-types.js";
import { decodeImage, imageBytes } from "./decode-image.js";
import {
  type ImageProcessor,
  type Pixels,
  processImage,
  readImageProcessor,
} from "./image-processor.js";
import { imageStarts, type PlacedImage } from "./image-tokens.js";

/** The images of a prompt as its model reads them; throws where one cannot be read. */
export async function readImages(
  model: LoadedModel,
  tokens: Uint32Array,
  images: PlacedImage[],
  signal: AbortSignal,
): Promise<NativeImage[]> {
  const starts = imageStarts(tokens, images.length, model);
  const processor = await readImageProcessor(model.files.folder, model.native.imageSize);
  const read: NativeImage[] = [];
  // One after the other: a decoded picture is large.
  for (const [index, image] of images.entries()) {
    read.push({ start: starts[index]!, ...(await readImage(image, processor, signal)) });
  }
  return read;
}

async function readImage(
  { part, place }: PlacedImage,
  processor: ImageProcessor,
  signal: AbortSignal,
): Promise<Pixels> {
  const picture = await decodeImage(imageBytes(part, place), place);
  signal.throwIfAborted();
  return processImage(picture, processor, signal);
}
