import type { Sharp, SharpConstructor } from "sharp";
import { GenerationError, ValidationError } from "../../errors.js";
import type { ImagePart } from "../../types.js";

/** Red, green and blue of each pixel, row by row. */
export interface Picture {
  width: number;
  height: number;
  data: Uint8Array;
}

/** A camera's are smaller; far larger ones are made to fill the memory. */
const MOST_PIXELS = 2 ** 26;

/** How files of the kinds begin that are read. Others, such as SVG, can name files to be read. */
const BEGINNINGS = [/^\x89PNG/, /^\xff\xd8\xff/, /^GIF8[79]a/, /^RIFF[\s\S]{4}WEBP/];

/** The bytes of an image; `place` is where it stands in the request. */
export function imageBytes({ image }: ImagePart, place: string): Uint8Array {
  if (typeof image !== "string") return image;
  const [, data] = /^data:[^,]*;base64,(.+)$/is.exec(image) ?? [];
  if (data !== undefined) return Buffer.from(data, "base64");
  throw new ValidationError(
    `${place} is ${JSON.stringify(image.slice(0, 60))}, but MLX models take images only as bytes or as data: URLs with base64.`,
    {
      code: "unsupported",
      provider: "mlx",
      hint: "Download the image first, and pass its bytes as a Uint8Array.",
    },
  );
}

/**
 * Decodes the first picture of a PNG, JPEG, WebP or GIF file as Pillow does: upright, without
 * transparency, in 8 bits, whatever its colour profile says.
 */
export async function decodeImage(bytes: Uint8Array, place: string): Promise<Picture> {
  const start = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
  if (!BEGINNINGS.some((beginning) => beginning.test(start))) {
    throw unreadable(place, "is no PNG, JPEG, WebP or GIF file");
  }
  const sharp = await loadSharp();
  try {
    const options = { limitInputPixels: MOST_PIXELS, failOn: "error", ignoreIcc: true } as const;
    const { space } = await sharp(bytes, options).metadata();
    const image = sharp(bytes, options).autoOrient();
    return await (space === "cmyk" ? readInks(image) : readColours(image));
  } catch (error) {
    throw unreadable(place, `cannot be read: ${(error as Error).message}`, error);
  }
}

async function readColours(image: Sharp): Promise<Picture> {
  const { data, info } = await image
    .toColourspace("srgb")
    .removeAlpha()
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, data };
}

/** Pillow takes inks for what is left of white, and looks into no profile. */
async function readInks(image: Sharp): Promise<Picture> {
  const { data, info } = await image
    .pipelineColourspace("cmyk")
    .toColourspace("cmyk")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const colours = new Uint8Array(info.width * info.height * 3);
  for (let from = 0, to = 0; to < colours.length; from += 4, to += 3) {
    const light = 255 - data[from + 3]!;
    for (let ink = 0; ink < 3; ink++) {
      colours[to + ink] = Math.max(0, light - Math.round((data[from + ink]! * light) / 255));
    }
  }
  return { width: info.width, height: info.height, data: colours };
}

/** What decodes images is large, and most who install this package need none. */
async function loadSharp(): Promise<SharpConstructor> {
  try {
    return (await import("sharp")).default;
  } catch (error) {
    throw new GenerationError(
      "Images for MLX models are decoded by the package sharp, which cannot be loaded here.",
      {
        code: "image_decoder_missing",
        provider: "mlx",
        hint: "Install it: npm install sharp",
        cause: error,
      },
    );
  }
}

function unreadable(place: string, reason: string, cause?: unknown): ValidationError {
  return new ValidationError(`${place} ${reason}.`, {
    code: "bad_image",
    provider: "mlx",
    hint: "Send a PNG, JPEG, WebP or GIF file that is whole.",
    cause,
  });
}
