import { setImmediate } from "node:timers/promises";
import type { Picture } from "./decode-image.js";

/** Fractions of whole numbers, as Pillow has them. */
const PRECISION = 22;
/** Products after which other work may go on. */
const MOST_AT_ONCE = 4_000_000;

/** For each pixel of a resized line the pixels that it is made of, and how much it takes of each. */
interface Weights {
  firsts: Int32Array;
  counts: Int32Array;
  /** `most` of them for each pixel. */
  factors: Int32Array;
  most: number;
}

/**
 * Resizes a picture as Pillow does by BILINEAR: every pixel counts, not only the nearest ones. First
 * along the rows, then along the columns, with whole numbers in between; Pillow 13 begins with the
 * columns where that is less work, which differs by the rounding.
 */
export async function resizeImage(
  picture: Picture,
  width: number,
  height: number,
  signal: AbortSignal,
): Promise<Picture> {
  const rows = await resizeRows(picture, width, signal);
  return resizeColumns(rows, height, signal);
}

async function resizeRows(picture: Picture, width: number, signal: AbortSignal): Promise<Picture> {
  if (picture.width === width) return picture;
  const { height } = picture;
  const weights = weightsOf(picture.width, width);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    await breathe(y, width * 3 * weights.most, signal);
    const row = y * picture.width * 3;
    for (let x = 0; x < width; x++) {
      const from = row + weights.firsts[x]! * 3;
      const to = (y * width + x) * 3;
      for (let colour = 0; colour < 3; colour++) {
        data[to + colour] = weigh(picture.data, from + colour, 3, weights, x);
      }
    }
  }
  return { width, height, data };
}

async function resizeColumns(
  picture: Picture,
  height: number,
  signal: AbortSignal,
): Promise<Picture> {
  if (picture.height === height) return picture;
  const stride = picture.width * 3;
  const weights = weightsOf(picture.height, height);
  const data = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    await breathe(y, stride * weights.most, signal);
    const from = weights.firsts[y]! * stride;
    for (let x = 0; x < stride; x++) {
      data[y * stride + x] = weigh(picture.data, from + x, stride, weights, y);
    }
  }
  return { width: picture.width, height, data };
}

/** Lets others have their turn between the lines of a large picture. */
async function breathe(line: number, products: number, signal: AbortSignal): Promise<void> {
  const lines = Math.max(1, Math.floor(MOST_AT_ONCE / products));
  if (line === 0 || line % lines !== 0) return;
  await setImmediate();
  signal.throwIfAborted();
}

function weigh(
  data: Uint8Array,
  from: number,
  stride: number,
  { counts, factors, most }: Weights,
  place: number,
): number {
  let sum = 1 << (PRECISION - 1);
  for (let i = 0; i < counts[place]!; i++) {
    sum += data[from + i * stride]! * factors[place * most + i]!;
  }
  return Math.min(255, Math.max(0, sum >> PRECISION));
}

function weightsOf(from: number, to: number): Weights {
  const scale = from / to;
  const reach = Math.max(1, scale);
  const most = Math.ceil(reach) * 2 + 1;
  const weights = {
    firsts: new Int32Array(to),
    counts: new Int32Array(to),
    factors: new Int32Array(to * most),
    most,
  };
  for (let place = 0; place < to; place++) {
    const centre = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(from, Math.trunc(centre + reach + 0.5)) - first;
    const shares = Array.from({ length: count }, (_, i) =>
      Math.max(0, 1 - Math.abs((i + first - centre + 0.5) * (1 / reach))),
    );
    const whole = shares.reduce((sum, share) => sum + share, 0);
    weights.firsts[place] = first;
    weights.counts[place] = count;
    for (const [i, share] of shares.entries()) {
      weights.factors[place * most + i] = Math.trunc(0.5 + (share / whole) * 2 ** PRECISION);
    }
  }
  return weights;
}
