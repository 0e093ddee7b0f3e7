import { ModelNotFoundError } from "../errors.js";
import { shown } from "../http/server-text.js";
import { SERVERS } from "../http/servers.js";
import { detailsOf, type Where } from "../http/where.js";

/** What mlx_lm.server calls the model that it was started with. */
export const OWN_MODEL = "default_model";

/** What those who convert a model put behind its name: the format, how many bits. */
const CONVERSION = /[-_.](?:(gguf|mlx)|(i?q\d\w*|\d+bit|bf16|fp?16|(?:mx|nv)fp\d))$/;

/**
 * True if the model that answered is the one that was asked for. Servers put a publisher before a
 * name, "@q4_k_m" (a quantization) or ":2" (an instance) after it, and make an alias longer, as in
 * "gpt-4o-2024-08-06" for "gpt-4o". LM Studio also takes the repository, or the file, of a model.
 * @example isSameModel("qwen3-8b", "qwen/qwen3-8b@4bit"); // true
 */
export function isSameModel(asked: string, served: string): boolean {
  if (asked === served || served === OWN_MODEL || asked === OWN_MODEL) return true;
  const one = nameParts(asked);
  const other = nameParts(served);
  return (
    startsWithName(other.name, one.name) &&
    agree(one.publisher, other.publisher) &&
    agree(one.quantization, other.quantization)
  );
}

/** The error that another model answered than the one that was asked for. */
export function otherModel(asked: string, served: string, where: Where): ModelNotFoundError {
  const answering = shown(served, where.secret);
  return new ModelNotFoundError(
    `${SERVERS[where.provider].name} has no model "${asked}": "${answering}" answered instead.`,
    {
      ...detailsOf(where),
      code: "model_mismatch",
      hint: `Load "${asked}", or ask for "${answering}".`,
    },
  );
}

function nameParts(text: string) {
  const bare = text.toLowerCase().replace(/:(\d+|latest)$/, "");
  const [path = "", quantization] = bare.split("@");
  const names = path.split("/");
  const parts = { name: names.at(-1)!, publisher: names.slice(0, -1).join("/"), quantization };
  for (let end = CONVERSION.exec(parts.name); end; end = CONVERSION.exec(parts.name)) {
    parts.name = parts.name.slice(0, end.index);
    parts.quantization ??= end[2];
    // Who converts a model is seldom who made it.
    parts.publisher = "";
  }
  // LM Studio's.
  parts.name = parts.name.replace(/^text-embedding-/, "");
  return parts;
}

/** What only one of them tells is no difference. */
function agree(one = "", other = ""): boolean {
  return one === "" || other === "" || one === other;
}

function startsWithName(longer: string, name: string): boolean {
  return longer === name || (name !== "" && /^[-_:]/.test(withoutStart(longer, name)));
}

function withoutStart(text: string, start: string): string {
  return text.startsWith(start) ? text.slice(start.length) : "";
}
