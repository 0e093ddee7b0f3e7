// Draws picture.png, a sun above a meadow: node examples/data/make-picture.mjs
import { writeFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

const SIZE = 64;
const SKY = [120, 190, 250];
const SUN = [255, 210, 60];
const MEADOW = [70, 160, 80];

function colorAt(x, y) {
  if (y >= 44) return MEADOW;
  return Math.hypot(x - 44, y - 18) < 10 ? SUN : SKY;
}

/** A part of a PNG file: length, type, data and checksum. */
function chunk(type, data) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const body = Buffer.concat([Buffer.from(type), data]);
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, checksum]);
}

const header = Buffer.alloc(13);
header.writeUInt32BE(SIZE, 0);
header.writeUInt32BE(SIZE, 4);
// 8 bits for each of red, green and blue
header.set([8, 2, 0, 0, 0], 8);
const indices = Array.from({ length: SIZE }, (_, index) => index);
// Each line begins with a 0, for "no filter".
const pixels = indices.flatMap((y) => [0, ...indices.flatMap((x) => colorAt(x, y))]);
const png = [
  Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
  chunk("IHDR", header),
  chunk("IDAT", deflateSync(Buffer.from(pixels))),
  chunk("IEND", Buffer.alloc(0)),
];
writeFileSync(new URL("picture.png", import.meta.url), Buffer.concat(png));
