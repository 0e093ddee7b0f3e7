import { batchesOf } from "../../src/mlx/text-batches.js";

const lengths = (texts: number[]) =>
  [...batchesOf(texts.map((length) => ({ tokens: Array<number>(length).fill(1) })))].map(
    ({ texts }) => [...texts.lengths],
  );

test("texts of like lengths are read together, the longest first", () => {
  expect(lengths([3, 100, 60, 2, 1, 49])).toEqual([[100, 60], [49], [3, 2], [1]]);
});

test("no batch has more tokens than let others wait, but for a single text", () => {
  expect(lengths([5000, 3000, 2000, 2000, 2000])).toEqual([[5000], [3000], [2000, 2000], [2000]]);
});

test("tells the place of each text, and what its tokens are part of", () => {
  const texts = [
    { tokens: [1], segments: [0] },
    { tokens: [2, 3], segments: [0, 1] },
  ];
  expect([...batchesOf(texts)]).toEqual([
    {
      places: [1, 0],
      texts: {
        tokens: Uint32Array.of(2, 3, 1),
        lengths: Uint32Array.of(2, 1),
        segments: Uint32Array.of(0, 1, 0),
      },
    },
  ]);
});
