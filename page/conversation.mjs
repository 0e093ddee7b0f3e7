// What was said, as turns: a turn is a message as the server takes it, and what the page shows of it.

/** Adds a piece of a reply to its turn. */
export function addPiece(turn, piece) {
  const { thought, text, call, ...end } = piece;
  if (thought) turn.thoughts = (turn.thoughts ?? "") + thought;
  if (text) turn.content += text;
  if (call) addCall(turn, call);
  if (end.reason) turn.end = end;
}

function addCall(turn, { index, id, function: { name, arguments: more } }) {
  turn.calls ??= [];
  turn.calls[index] ??= { id, name, arguments: "" };
  turn.calls[index].arguments += more;
}

/** Ends a turn that was stopped, or failed: its calls may not be whole. */
export function breakOff(turn, end) {
  delete turn.calls;
  turn.end = end;
}

/** The calls at the end of a conversation that have no result yet. */
export function openCalls(turns) {
  const results = new Set(turns.map(({ callId }) => callId));
  const last = turns.findLast(({ role }) => role === "assistant");
  return (last?.calls ?? []).filter(({ id }) => !results.has(id));
}

/** Results of the calls of a turn, by their ids. */
export function resultsOf(turns) {
  return new Map(turns.filter(({ callId }) => callId).map((turn) => [turn.callId, turn.content]));
}

/** The messages that the server is asked with. */
export function messagesOf(turns, system) {
  const messages = system.trim() ? [{ role: "system", content: system }] : [];
  for (const turn of turns) {
    // A question without an answer would make two in a row, which many templates refuse.
    if (isEmpty(turn)) messages.pop();
    else messages.push(messageOf(turn));
  }
  return messages;
}

function isEmpty({ role, content, calls }) {
  return role === "assistant" && content === "" && !calls;
}

function messageOf({ role, content, images = [], thoughts, calls, callId }) {
  if (role === "tool") return { role, content, tool_call_id: callId };
  if (role === "assistant") {
    const toolCalls = calls?.map(({ id, ...called }) => ({
      id,
      type: "function",
      function: called,
    }));
    return { role, content, reasoning_content: thoughts, tool_calls: toolCalls };
  }
  if (images.length === 0) return { role, content };
  const shown = images.map((url) => ({ type: "image_url", image_url: { url } }));
  return { role, content: [...shown, { type: "text", text: content }] };
}

/** Tools of a text in JSON, as the server takes them; throws for what is none. */
export function toolsOf(text) {
  if (text.trim() === "") return undefined;
  const tools = JSON.parse(text);
  const isList = Array.isArray(tools) && tools.every((tool) => typeof tool === "object" && tool);
  if (!isList) throw new Error("Tools are a list of objects.");
  return tools.map((tool) => (tool.function ? tool : { type: "function", function: tool }));
}
