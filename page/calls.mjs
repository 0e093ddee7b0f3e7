// The calls of tools in a reply, and what they gave.

import { make } from "./elements.mjs";

/** The calls of a reply; those without a result have a field for it, and `onResults` is told. */
export function callsOf(calls, results, onResults) {
  const fields = new Map();
  const cards = calls.map((call) => cardOf(call, results.get(call.id), fields));
  const form = make("form", { className: "calls" }, ...cards);
  if (fields.size > 0) form.append(make("button", { className: "small main" }, "Send results"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    onResults([...fields].map(([callId, { value }]) => ({ callId, content: value })));
  });
  return form;
}

function cardOf({ id, name, arguments: text }, result, fields) {
  const given = readArguments(text);
  const state = stateOf(given, result);
  const head = make(
    "summary",
    {},
    make("code", {}, name),
    make("span", { className: "state" }, state),
  );
  const card = make("details", { className: "call", open: result === undefined }, head);
  const shown = given === undefined ? text : JSON.stringify(given, undefined, 2);
  card.append(...labelled("Arguments", make("pre", { tabIndex: 0 }, shown)));
  if (result !== undefined) {
    card.append(...labelled("Result", make("pre", { tabIndex: 0 }, result)));
    return card;
  }
  const field = make("textarea", { rows: 2, required: true });
  card.append(make("label", {}, `Result of ${name}`, field));
  fields.set(id, field);
  return card;
}

function labelled(name, element) {
  element.role = "region";
  element.ariaLabel = name;
  return [make("p", { className: "help" }, name), element];
}

function stateOf(given, result) {
  if (given === undefined) return "arguments are not JSON";
  return result === undefined ? "waits for its result" : "done";
}

function readArguments(text) {
  try {
    return JSON.parse(text || "{}");
  } catch {
    return undefined;
  }
}
