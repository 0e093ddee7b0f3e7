import * as api from "../src/index.js";

test("the package exports the client and the errors, and nothing else at run time", () => {
  expect(Object.keys(api).sort()).toEqual([
    "AbortError",
    "AllProvidersFailedError",
    "AuthenticationError",
    "ConfigurationError",
    "ConnectionError",
    "ContextLengthError",
    "GenerationError",
    "LLMClient",
    "LLMError",
    "ModelLoadError",
    "ModelNotFoundError",
    "ProtocolError",
    "ProviderUnavailableError",
    "RateLimitError",
    "StreamInterruptedError",
    "TimeoutError",
    "ValidationError",
  ]);
});
