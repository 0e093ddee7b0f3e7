import { ConfigurationError } from "../../src/errors.js";

/** The refusal of something that must be refused as a wrong configuration. */
export function refusalOf(work: () => unknown): ConfigurationError {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return error as ConfigurationError;
  }
  throw new Error("It was accepted.");
}
