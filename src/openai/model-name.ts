/**
 * True if the model that answered is the one that was asked for. Servers put a publisher before a
 * name, "@q4_k_m" (a quantization) or ":2" (an instance) after it, and make an alias longer, as in
 * "gpt-4o-2024-08-06" for "gpt-4o". mlx_lm.server calls its own model "default_model".
 * @example isSameModel("qwen3-8b", "qwen/qwen3-8b@4bit"); // true
 */
export function isSameModel(asked: string, served: string): boolean {
  if (asked === served || served === "default_model") return true;
  const one = nameParts(asked);
  const other = nameParts(served);
  return (
    startsWithName(other.name, one.name) &&
    agree(one.publisher, other.publisher) &&
    agree(one.quantization, other.quantization)
  );
}

function nameParts(text: string) {
  const bare = text.toLowerCase().replace(/:(\d+|latest)$/, "");
  const [path = "", quantization] = bare.split("@");
  const names = path.split("/");
  return { name: names.at(-1)!, publisher: names.slice(0, -1).join("/"), quantization };
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
