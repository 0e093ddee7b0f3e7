import { createHash } from "node:crypto";
import { ModelLoadError } from "../../errors.js";
import { isObject, type Json } from "../json-file.js";
import { readModelJson } from "../model-texts.js";
import type { Picture } from "./decode-image.js";
import { resizeImage } from "./resize-image.js";

/** How a checkpoint wants the pixels of images. */
export interface ImageProcessor {
  width: number;
  height: number;
  /** By which colours from 0 to 255 are multiplied. */
  scale: number;
  mean: number[];
  deviation: number[];
}

/** What a model reads of an image. */
export interface Pixels {
  /** (height, width, 3) */
  pixels: Float32Array;
  /** Tells the image from all others. */
  digest: Uint32Array;
}

const FILE = "preprocessor_config.json";
/** Pillow's number for BILINEAR. */
const BILINEAR = 2;

/** Reads how the model of a folder wants images of an edge's size. */
export async function readImageProcessor(folder: string, size: number): Promise<ImageProcessor> {
  const config = await readConfig(folder);
  const wanted = isObject(config.size) ? config.size : { height: size, width: size };
  check(folder, config, "size", wanted.height === size && wanted.width === size);
  check(folder, config, "resample", (config.resample ?? BILINEAR) === BILINEAR);
  check(folder, config, "do_pan_and_scan", config.do_pan_and_scan !== true);
  const scales = config.do_rescale !== false;
  const scale = scales ? (config.rescale_factor ?? 1 / 255) : 1;
  check(folder, config, "rescale_factor", typeof scale === "number");
  const centres = config.do_normalize !== false;
  return {
    width: size,
    height: size,
    scale: Number(scale),
    mean: centres ? colours(folder, config, "image_mean") : [0, 0, 0],
    deviation: centres ? colours(folder, config, "image_std") : [1, 1, 1],
  };
}

/** Resizes a picture and centres its colours, in single precision as the reference does. */
export async function processImage(
  picture: Picture,
  { width, height, scale, mean, deviation }: ImageProcessor,
  signal: AbortSignal,
): Promise<Pixels> {
  const { data } = await resizeImage(picture, width, height, signal);
  // There are only 256 of each.
  const tables = mean.map((middle, colour) =>
    Float32Array.from({ length: 256 }, (_, value) => {
      const centred = Math.fround(Math.fround(value * scale) - Math.fround(middle));
      return centred / Math.fround(deviation[colour]!);
    }),
  );
  const pixels = Float32Array.from(data, (value, index) => tables[index % 3]![value]!);
  return { pixels, digest: new Uint32Array(hashOf(data).buffer) };
}

function hashOf(data: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash("sha256").update(data).digest());
}

async function readConfig(folder: string): Promise<Json> {
  const config = await readModelJson(folder, FILE, "bad_config");
  if (config) return config;
  const whole = await readModelJson(folder, "processor_config.json", "bad_config");
  if (isObject(whole?.image_processor)) return whole.image_processor;
  throw new ModelLoadError(`${folder} has no ${FILE}, which says how it reads images.`, {
    code: "bad_config",
    url: folder,
    hint: "Download the model again, with all of its files.",
  });
}

function colours(folder: string, config: Json, name: string): number[] {
  const list = config[name] ?? [0.5, 0.5, 0.5];
  const isValid =
    Array.isArray(list) && list.length === 3 && list.every((value) => Number.isFinite(value));
  check(folder, config, name, isValid);
  return list as number[];
}

function check(folder: string, config: Json, name: string, isRight: boolean): void {
  if (isRight) return;
  throw new ModelLoadError(
    `${folder}: "${name}" is ${JSON.stringify(config[name])} in ${FILE}, which is not supported for this model.`,
    {
      code: "bad_config",
      url: folder,
      hint: "Download the model again, or ask it without images.",
    },
  );
}
