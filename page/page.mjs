import { chat, listModels } from "./chat.mjs";

const [model, system, temperature, effort, key, messages, status, form, prompt, send, stop] = [
  ...["model", "system", "temperature", "effort", "key", "messages", "status", "form", "prompt"],
  ...["send", "stop"],
].map((id) => document.getElementById(id));
const settings = document.getElementById("settings");
const KEY = "llm-client-key";

let conversation = [];
let working;

key.value = sessionStorage.getItem(KEY) ?? "";
key.addEventListener("change", () => {
  sessionStorage.setItem(KEY, key.value);
  showModels();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  answer();
});
prompt.addEventListener("keydown", (event) => {
  // Enter also ends what an input method composes.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  answer();
});
document.addEventListener("keydown", ({ key }) => key === "Escape" && working?.abort());
stop.addEventListener("click", () => working?.abort());
document.getElementById("new").addEventListener("click", () => {
  working?.abort();
  conversation = [];
  messages.replaceChildren();
  status.textContent = "";
  prompt.focus();
});
showModels();
prompt.focus();

async function showModels() {
  try {
    const names = await listModels({ key: key.value });
    model.replaceChildren(...names.map((name) => new Option(name)));
    tell(names.length > 0 ? "" : "The server has no models.");
  } catch (error) {
    if (error.status === 401) {
      settings.open = true;
      key.focus();
    }
    tell(error.message, true);
  }
}

async function answer() {
  const content = prompt.value.trim();
  if (content === "" || working) return;
  prompt.value = "";
  addMessage("user", "You").text.textContent = content;
  conversation.push({ role: "user", content });
  const turn = conversation;
  const view = addMessage("assistant", model.value);
  const work = new AbortController();
  begin(work);
  let said = "";
  try {
    for await (const piece of chat(requestOf(), { key: key.value, signal: work.signal })) {
      if (piece.text) {
        said += piece.text;
        view.text.append(piece.text);
      }
      if (piece.thought) think(view, piece.thought);
      if (piece.reason) tellEnd(view, piece);
      messages.scrollTop = messages.scrollHeight;
    }
    tell("Done.");
  } catch (error) {
    tell(work.signal.aborted ? "Stopped." : error.message, !work.signal.aborted);
  } finally {
    // What was said stays part of the chat, also where it was stopped.
    if (said) turn.push({ role: "assistant", content: said });
    else turn.pop();
    end(view);
  }
}

function requestOf() {
  const first = system.value.trim() ? [{ role: "system", content: system.value }] : [];
  const request = { model: model.value, messages: [...first, ...conversation] };
  if (temperature.value !== "") request.temperature = Number(temperature.value);
  if (effort.value) request.reasoning_effort = effort.value;
  return request;
}

function begin(work) {
  working = work;
  send.disabled = true;
  stop.disabled = false;
  tell("The model works …");
}

function end(view) {
  working = undefined;
  send.disabled = false;
  stop.disabled = true;
  // Only now, so that a screen reader reads the whole of it.
  view.article.removeAttribute("aria-busy");
}

function addMessage(role, name) {
  const article = document.createElement("article");
  article.className = role;
  article.setAttribute("aria-live", "polite");
  if (role === "assistant") article.setAttribute("aria-busy", "true");
  const heading = document.createElement("h2");
  heading.textContent = name;
  const text = document.createElement("p");
  text.className = "text";
  article.append(heading, text);
  messages.append(article);
  messages.scrollTop = messages.scrollHeight;
  return { article, text };
}

function think(view, thought) {
  if (!view.thoughts) {
    const details = document.createElement("details");
    details.className = "thoughts";
    const summary = document.createElement("summary");
    summary.textContent = "Thoughts";
    view.thoughts = document.createElement("pre");
    details.append(summary, view.thoughts);
    view.text.before(details);
  }
  view.thoughts.append(thought);
}

function tellEnd(view, { usage, reason, speed }) {
  const parts = [];
  if (usage) parts.push(`${usage.completion_tokens} tokens`);
  if (speed) parts.push(`${speed.toFixed(1)} tokens/s`);
  if (reason === "length") parts.push("cut at its limit");
  const figures = document.createElement("p");
  figures.className = "figures";
  figures.textContent = parts.join(" · ");
  view.article.append(figures);
}

function tell(text, isError = false) {
  status.textContent = text;
  status.className = isError ? "error" : "";
}
