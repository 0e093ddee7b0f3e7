import { admit, type Room } from "../../src/mlx/admission.js";

const MB = 1e6;

/** A model whose tokens take 1 MB each in full layers, 100 of them kept in a window beside. */
function room({ limit, ...config }: { limit: number; [field: string]: unknown }): Room {
  const layers = [
    { fixedBytes: 0, bytesPerToken: MB },
    { fixedBytes: 5 * MB, bytesPerToken: MB, mostTokens: 100 },
  ];
  return {
    footprint: { weightBytes: 1000 * MB, growth: 256, layers },
    memoryLimit: limit,
    files: { config },
  } as unknown as Room;
}

test("a prompt that fits is told what it takes", () => {
  const { cacheBytes, memoryLimit } = admit(room({ limit: 5000 * MB }), 1000);
  // 1000 tokens and room for some more, 100 of the window, and the state.
  expect(cacheBytes).toBe((1280 + 100 + 5) * MB);
  expect(memoryLimit).toBe(5000 * MB);
});

test("a prompt that can never fit is refused with the sizes and what to do", () => {
  expect(() => admit(room({ limit: 2000 * MB }), 1000)).toThrow(
    expect.objectContaining({
      code: "cache_too_large",
      message:
        "The prompt has 1000 tokens, whose keys and values take 1.39 GB, but beside the weights there is room for 1.00 GB only.",
      hint: expect.stringContaining("kvBits"),
    }),
  );
});

test("quantized and limited caches take less", () => {
  const small = room({ limit: 2000 * MB });
  expect(admit(small, 1000, { kvBits: 4, quantizedKvStart: 0 })).toMatchObject({
    cacheBytes: Math.ceil(1385 * MB * (4.5 / 16)),
    kvBits: 4,
    kvGroupSize: 64,
    quantizedKvStart: 0,
  });
  expect(admit(small, 1000, { maxKvSize: 256 })).toMatchObject({ maxKvSize: 256 });
  // Short texts stay as they are unless told.
  expect(() => admit(small, 1000, { kvBits: 4 })).toThrow("beside the weights");
});

test("where memory is short the prompt is read in smaller chunks", () => {
  const wide = { num_attention_heads: 32, hidden_size: 8192, intermediate_size: 28672 };
  const chunk = (limit: number, head_dim: number) =>
    admit(room({ limit: limit * MB, head_dim, ...wide }), 4000).prefillStepSize;
  expect(chunk(100_000, 256)).toBe(2048);
  expect(chunk(9_000, 256)).toBeLessThan(2048);
  // Metal need not write the scores of such heads down.
  expect(chunk(9_000, 128)).toBeGreaterThan(chunk(9_000, 256)!);
  expect(chunk(5_500, 256)).toBe(128);
  const told = admit(room({ limit: 5500 * MB, ...wide }), 4000, { prefillStepSize: 777 });
  expect(told.prefillStepSize).toBe(777);
});

test("what the configuration does not say does not matter", () => {
  expect(admit(room({ limit: 5000 * MB, text_config: 3 }), 10).prefillStepSize).toBe(2048);
});
