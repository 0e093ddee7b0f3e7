import { GenerationError, TimeoutError, ValidationError } from "../../src/errors.js";
import { generationError, loadError } from "../../src/mlx/native-errors.js";

const native = (code: string) => Object.assign(new Error("topP is 2"), { code });

test("a value that the engine refuses is a wrong request", () => {
  const error = generationError(native("invalid_argument"));
  expect(error).toBeInstanceOf(ValidationError);
  expect(error.message).toBe("The request is wrong: topP is 2.");
});

test("any other failure of the engine is a failed generation, with the error underneath", () => {
  const cause = native("mlx_error");
  const error = generationError(cause);
  expect(error).toBeInstanceOf(GenerationError);
  expect(error).toMatchObject({ code: "generation_failed", cause });
  expect(generationError(native("out_of_memory"))).toMatchObject({ code: "out_of_memory" });
  expect(generationError(native("peer_lost"))).toMatchObject({
    code: "peer_lost",
    hint: "Start all processes that share the model again.",
  });
});

test("errors of this package stay as they are", () => {
  const error = new TimeoutError("Late.");
  expect(generationError(error)).toBe(error);
  expect(loadError(error, "/models/tiny")).toBe(error);
});

test.each([
  ["unknown_model_type", "unsupported_model_type", "llm-client models"],
  ["bad_config", "bad_config", "Download the model again"],
  ["tensor_shape", "bad_weights", "download the model again"],
  ["out_of_memory", "insufficient_memory", "Use a smaller"],
  ["cannot_shard", "cannot_shard", "another number of processes"],
  ["peer_lost", "peer_lost", "Start all processes"],
  ["mlx_error", "model_load_failed", undefined],
])("%s while loading is a ModelLoadError with the code %s", (code, expected, hint) => {
  expect(loadError(native(code), "/models/tiny")).toMatchObject({
    name: "ModelLoadError",
    code: expected,
    url: "/models/tiny",
    message: "The model in /models/tiny does not load: topP is 2",
    ...(hint !== undefined && { hint: expect.stringContaining(hint) }),
  });
});
