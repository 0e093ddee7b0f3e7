// What the page asks the server; it knows nothing of the page itself.

/** An answer that is none, with the server's words. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Names of the models that the server has. */
export async function listModels({ base = "", key = "" } = {}) {
  const response = await fetch(`${base}/v1/models`, { headers: headersOf(key) });
  if (!response.ok) throw await refusalOf(response);
  const { data } = await response.json();
  return data.map(({ id }) => id);
}

/** The reply to a chat: its pieces as `{ text }` or `{ thought }`, at last `{ usage, reason, speed }`. */
export async function* chat(body, { base = "", key = "", signal } = {}) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await fetch(`${base}/v1/chat/completions`, {
    method: "POST",
    headers: { ...headersOf(key), "content-type": "application/json" },
    body: JSON.stringify(asked),
    signal,
  });
  if (!response.ok) throw await refusalOf(response);
  let [reason, usage, speed] = [];
  for await (const { choices, usage: counts, timings, error } of eventsOf(response.body)) {
    if (error) throw new Refused(response.status, error.message);
    const [choice] = choices;
    const { content: text, reasoning_content: thought } = choice?.delta ?? {};
    reason = choice?.finish_reason ?? reason;
    usage = counts ?? usage;
    speed = timings?.tokens_per_second ?? speed;
    if (text) yield { text };
    if (thought) yield { thought };
  }
  if (reason === undefined) throw new Error("The reply broke off.");
  yield { usage, reason, speed };
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

function headersOf(key) {
  return key ? { authorization: `Bearer ${key}` } : {};
}

async function refusalOf(response) {
  const { error } = await response.json().catch(() => ({}));
  return new Refused(response.status, error?.message ?? `The server answered ${response.status}.`);
}
