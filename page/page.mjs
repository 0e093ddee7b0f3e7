import { chat, listModels, readMemory } from "./chat.mjs";
import { addPiece, breakOff, messagesOf, openCalls, resultsOf } from "./conversation.mjs";
import { Images } from "./images.mjs";
import { Answer, showQuestion } from "./message.mjs";
import { Settings } from "./settings.mjs";
import { keep, keepTurns, recall } from "./store.mjs";

const ui = Object.fromEntries([...document.querySelectorAll("[id]")].map((it) => [it.id, it]));
const settings = new Settings(ui, showModels);
const images = new Images(ui.images);

let models = [];
let turns = recall("turns") ?? [];
/** What shows each turn. */
const views = new Map();
/** Aborts the reply that is being made. */
let working;

ui.form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
ui.prompt.addEventListener("keydown", (event) => {
  // Enter also ends what an input method composes.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
ui.prompt.addEventListener("paste", ({ clipboardData }) => attach(clipboardData.files));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  attach(event.dataTransfer.files);
});
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !ui.settings.open) working?.abort();
});
ui.stop.addEventListener("click", () => working?.abort());
ui.new.addEventListener("click", begin);
ui.attach.addEventListener("click", () => ui.files.click());
ui.files.addEventListener("change", () => attach(ui.files.files));
ui.model.addEventListener("change", showModel);
ui.suggestions.addEventListener("click", ({ target }) => {
  if (target.matches("button")) send(target.textContent);
});

for (const turn of turns) show(turn)?.end?.(resultsOf(turns));
scrollDown();
showModels();

async function showModels() {
  try {
    models = await listModels(settings);
    ui.model.replaceChildren(...models.map(({ id }) => new Option(id)));
    const wanted = recall("model");
    if (models.some(({ id }) => id === wanted)) ui.model.value = wanted;
    showModel();
    settings.askForKey("");
    tell(models.length > 0 ? "" : "The server has no models.");
    showMemory();
  } catch (error) {
    tell(error.message, true);
    if (error.status === 401) settings.askForKey(error.message);
  }
}

function showModel() {
  if (ui.model.value) keep("model", ui.model.value);
  ui.attach.hidden = !takesImages();
}

/** A model of which nothing is known may. */
function takesImages() {
  const { capabilities } = models.find(({ id }) => id === ui.model.value) ?? {};
  return capabilities?.includes("vision") ?? true;
}

function attach(files) {
  if (takesImages()) images.add(files);
  else if (files.length > 0) tell(`${ui.model.value} takes no images.`, true);
}

function begin() {
  working?.abort();
  setWorking(undefined);
  forget(0);
  tell("");
  ui.prompt.focus();
}

function send(content = ui.prompt.value.trim()) {
  if (working || (content === "" && images.isEmpty) || !settings.check()) return;
  ui.prompt.value = "";
  for (const { id } of openCalls(turns)) {
    turns.push({ role: "tool", callId: id, content: "There is no result." });
  }
  showResults();
  const turn = { role: "user", content, images: images.take() };
  turns.push(turn);
  show(turn);
  reply();
}

/** Goes on with the results of calls. */
function takeResults(results) {
  turns.push(...results.map((result) => ({ role: "tool", ...result })));
  showResults();
  reply();
}

function showResults() {
  const last = turns.findLast(({ role }) => role === "assistant");
  if (last?.calls) views.get(last).end(resultsOf(turns));
}

function retry() {
  if (working || !settings.check()) return;
  forget(turns.findLastIndex(({ role }) => role !== "assistant") + 1);
  reply();
}

/** Takes back all turns from one on. */
function forget(from) {
  for (const turn of turns.slice(from)) views.get(turn)?.article.remove();
  turns = turns.slice(0, from);
  keepTurns(turns);
}

async function reply() {
  const messages = messagesOf(turns, settings.system);
  const request = { model: ui.model.value, messages, ...settings.fields };
  const turn = { role: "assistant", model: ui.model.value, content: "" };
  turns.push(turn);
  const work = new AbortController();
  setWorking(work);
  const view = show(turn);
  scrollDown();
  try {
    const options = { key: settings.key, signal: work.signal };
    for await (const piece of chat(request, options)) {
      addPiece(turn, piece);
      view.update();
    }
  } catch (error) {
    breakOff(turn, work.signal.aborted ? { reason: "stopped" } : { error: error.message });
  }
  view.end(resultsOf(turns));
  // A chat that was begun meanwhile has nothing to do with this reply.
  if (working === work) finish(turn);
}

function finish({ content, calls, end }) {
  setWorking(undefined);
  keepTurns(turns);
  // Only now, so that a screen reader reads the whole of it, and once.
  ui.spoken.textContent = end.error ?? [content, ...(calls ?? []).map(spokenCall)].join(" ");
  tell(end.reason === "stopped" ? "Stopped." : "");
  scrollDown();
  showMemory();
}

function spokenCall({ name }) {
  return `The tool ${name} was called; its result is to be written.`;
}

function setWorking(work) {
  working = work;
  const hadFocus = document.activeElement === ui.stop || document.activeElement === document.body;
  ui.send.hidden = Boolean(work);
  ui.stop.hidden = !work;
  document.body.classList.toggle("working", Boolean(work));
  if (work) tell("The model is writing …");
  if (hadFocus) ui.prompt.focus();
}

function show(turn) {
  if (turn.role === "tool") return undefined;
  const on = { retry, results: takeResults, shown: stayDown };
  const view = turn.role === "user" ? { article: showQuestion(turn) } : new Answer(turn, on);
  views.set(turn, view);
  ui.messages.append(view.article);
  return view;
}

async function showMemory() {
  const { process, active, peak } = await readMemory(settings).catch(() => ({}));
  const mlx = active === undefined ? [] : [`MLX ${size(active)}, at most ${size(peak)}`];
  const parts = process ? [`Memory: process ${size(process)}`, ...mlx] : [];
  ui.memory.textContent = parts.join(" · ");
}

function size(bytes) {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

function tell(text, isProblem = false) {
  ui.status.textContent = text;
  ui.status.className = isProblem ? "problem" : "";
}

function scrollDown() {
  document.scrollingElement.scrollTop = document.scrollingElement.scrollHeight;
}

/** Follows the text, unless the reader has gone up. */
function stayDown() {
  const { scrollTop, clientHeight, scrollHeight } = document.scrollingElement;
  if (scrollHeight - scrollTop - clientHeight < 160) scrollDown();
}
