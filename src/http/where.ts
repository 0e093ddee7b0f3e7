import type { ProviderName } from "../types.js";

/** Who was asked for what, for the texts and fields of errors. */
export interface Where {
  provider: ProviderName;
  /** Base URL, without credentials. */
  url: string;
  model?: string | undefined;
  requestId?: string | undefined;
  /** What was sent to authorize; it is taken out of whatever the server says. */
  secret?: string | readonly string[] | undefined;
}

/** The fields that an error shows. */
export function detailsOf({ provider, url, model, requestId }: Where): Omit<Where, "secret"> {
  return { provider, url, model, requestId };
}
