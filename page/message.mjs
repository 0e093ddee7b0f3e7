// How a turn is shown.

import { callsOf } from "./calls.mjs";
import { copyButton, make } from "./elements.mjs";
import { showMarkdown } from "./markdown.mjs";

const REASONS = { length: "cut at its limit", stopped: "stopped", content_filter: "held back" };

/** What a person wrote. */
export function showQuestion({ content, images = [] }) {
  const pictures = images.map((src, index) => make("img", { src, alt: `Image ${index + 1}` }));
  const text = make("div", { className: "text" }, content);
  const article = make("article", { className: "user" }, make("h2", {}, "You"), ...pictures, text);
  article.ariaLabel = "You";
  return article;
}

/** What a model wrote, and goes on to write. */
export class Answer {
  #turn;
  #thoughts;
  #calls;
  #isDue = false;
  #body = make("div", { className: "text" });
  #foot = make("div", { className: "foot" });
  article = make("article", { className: "assistant" });

  /** `on` is told of "retry", and of "results" of calls. */
  constructor(turn, on) {
    this.#turn = turn;
    this.on = on;
    this.article.ariaLabel = turn.model;
    this.article.append(make("h2", {}, turn.model), this.#body, this.#foot);
  }

  /** Shows what has come, when the browser next draws. */
  update() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#show();
      this.on.shown?.();
    });
  }

  /** Shows the end, with what can be done then. */
  end(results) {
    this.#show();
    const { content, end = {}, calls } = this.#turn;
    this.#thoughts?.querySelector("summary").replaceChildren("Thoughts");
    this.#calls?.remove();
    this.#calls = calls && callsOf(calls, results, this.on.results);
    if (this.#calls) this.#foot.before(this.#calls);
    const retry = make("button", { type: "button", className: "small retry" }, "Retry");
    retry.addEventListener("click", this.on.retry);
    const figures = make("span", { className: "figures" }, figuresOf(end));
    const buttons = content ? [copyButton(() => content, "Copy the reply"), retry] : [retry];
    this.#foot.replaceChildren(...problemsOf(end), figures, ...buttons);
  }

  #show() {
    const { content, thoughts, calls, end } = this.#turn;
    if (thoughts) this.#think(thoughts);
    showMarkdown(this.#body, content);
    const waits = !end && !content && !calls;
    this.#body.classList.toggle("waiting", waits && !thoughts);
    if (calls && !end)
      this.#foot.textContent = `Calls ${calls.map(({ name }) => name).join(", ")} …`;
  }

  #think(thoughts) {
    if (!this.#thoughts) {
      const text = make("div", { className: "text" });
      this.#thoughts = make(
        "details",
        { className: "thoughts" },
        make("summary", {}, "Thinking …"),
        text,
      );
      this.#body.before(this.#thoughts);
    }
    this.#thoughts.lastChild.textContent = thoughts.trim();
  }
}

function problemsOf({ error, warnings = [] }) {
  const notes = warnings.map((text) => make("p", { className: "note" }, text));
  return error ? [make("p", { className: "problem" }, error), ...notes] : notes;
}

function figuresOf({ reason, usage, timings = {} }) {
  const { tokens_per_second: speed, first_token_ms: first } = timings;
  const parts = [
    usage && `${usage.completion_tokens} tokens`,
    speed && `${speed.toFixed(speed < 10 ? 1 : 0)} tokens/s`,
    first && `first token after ${(first / 1000).toFixed(2)} s`,
    REASONS[reason],
  ];
  return parts.filter(Boolean).join(" · ");
}
