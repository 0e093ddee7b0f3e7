import type { Fields } from "../fields.js";
import type { HttpClient } from "../http/http-client.js";
import type { OptionalFeature } from "../providers/provider.js";
import type { CheckedRequest } from "../request.js";
import type { ProviderHealth } from "../types.js";
import type { MessageStyle } from "./messages.js";

/** What a piece of a reply's text turned out to be. */
export interface FilteredText {
  text: string;
  /** Comes before that text. */
  reasoning?: string;
  /** True if the reply ends here. */
  stopped?: boolean;
}

/** Sees the text of one reply before anybody else does; it may hold some of it back. */
export interface TextFilter {
  push(text: string): FilteredText;
  /** What is still held back at the end. */
  flush(): FilteredText;
}

/** What is special about how one kind of OpenAI-compatible server talks. */
export interface ServerKind extends MessageStyle {
  capabilities: ReadonlySet<OptionalFeature>;
  /** Fields of a request's body beyond, or instead of, the common ones; refuses what it cannot do. */
  fields(request: CheckedRequest): Fields;
  /** True if a chunk names the model by its own name, not by an alias; unless told, all do. */
  namesItsModel?(chunk: Fields): boolean;
  filterFor?(request: CheckedRequest): TextFilter | undefined;
}

/** A kind of server that has little besides that API. */
export interface PlainServerKind extends ServerKind {
  /** Name for the model that it was started with; it loads others as they are asked for. */
  ownModel?: string;
  hasEmbeddings: boolean;
  /** Asks what else tells about its health. */
  check(http: HttpClient, signal: AbortSignal): Promise<Partial<ProviderHealth>>;
}
