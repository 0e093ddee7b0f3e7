import { ModelLoadError } from "../../src/errors.js";
import { reserveMemory } from "../../src/mlx/model-memory.js";

const need = { folder: "/models/huge", weightBytes: 9.75e9, cacheBytes: 0.25e9 };

function refusal(limit: number): ModelLoadError {
  try {
    reserveMemory(need, limit)();
  } catch (error) {
    expect(error).toBeInstanceOf(ModelLoadError);
    return error as ModelLoadError;
  }
  throw new Error("It was let pass.");
}

test("weights that fit are let pass, again and again", () => {
  for (let round = 0; round < 3; round++) reserveMemory(need, 10e9)();
});

test("weights beyond the memory are refused with both sizes", () => {
  const { message, code } = refusal(6e9);
  expect(code).toBe("insufficient_memory");
  expect(message).toBe(
    "The model in /models/huge needs 9.75 GB for its weights and 0.25 GB for a short text, but models may take only 6.00 GB here.",
  );
});

test("weights that fit alone are refused while others are there, and fit once these are freed", () => {
  const free = reserveMemory(need, 16e9);
  const { message, hint } = refusal(16e9);
  expect(message).toContain("16.00 GB here, of which other models hold 10.00 GB.");
  expect(hint).toContain("other models");
  free();
  free();
  reserveMemory(need, 16e9)();
  expect(refusal(9e9).message).not.toContain("other models");
});
