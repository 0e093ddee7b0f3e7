// What the page asks the server; it knows nothing of the page itself.

/** An answer that is none, with the server's words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The models that the server has, as it tells them. */
export async function listModels(options) {
  const { data } = await (await ask("/v1/models", options)).json();
  return data;
}

/** Bytes that the server's process takes, and what MLX takes of them now and took at most. */
export async function readMemory(options) {
  const text = await (await ask("/metrics", options)).text();
  const read = (name) => {
    const line = text.split("\n").find((line) => line.startsWith(`${name} `));
    return line && Number(line.slice(name.length));
  };
  const mlx = (kind) => read(`llm_client_mlx_memory_bytes{kind="${kind}"}`);
  const process = read("process_resident_memory_bytes");
  return { process, active: mlx("active"), peak: mlx("peak") };
}

/**
 * The reply to a chat: its pieces as `{ text }`, `{ thought }` or `{ call }`, at last
 * `{ reason, usage, timings, warnings }`.
 */
export async function* chat(body, options) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await ask("/v1/chat/completions", options, asked);
  const end = {};
  for await (const { choices, error, ...more } of eventsOf(response.body)) {
    if (error) throw new Refused(response.status, error.message);
    for (const name of ["usage", "timings", "warnings"]) end[name] = more[name] ?? end[name];
    const { delta = {}, finish_reason: reason } = choices[0] ?? {};
    end.reason = reason ?? end.reason;
    if (delta.reasoning_content) yield { thought: delta.reasoning_content };
    if (delta.content) yield { text: delta.content };
    for (const call of delta.tool_calls ?? []) yield { call };
  }
  if (end.reason === undefined) throw new Error("The reply broke off.");
  yield end;
}

async function ask(path, { base = "", key = "", signal } = {}, body) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const sent = { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(base + path, { headers, signal, ...(body ? sent : {}) });
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  const message = error?.message ?? `The server answered ${response.status}.`;
  throw new Refused(response.status, message);
}

/** The objects that server-sent events hold. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.startsWith("data: ") ? event.slice(6) : "[DONE]";
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}
