// What the dialog of settings holds, and keeps.

import { toolsOf } from "./conversation.mjs";
import { keep, recall } from "./store.mjs";

const KEPT = ["system", "temperature", "most", "effort", "tools"];

/** The settings of the page, in the fields of its dialog. */
export class Settings {
  #ui;

  /** `onKey` is told when the server's key is another one. */
  constructor(ui, onKey) {
    this.#ui = ui;
    const kept = recall("settings") ?? {};
    for (const name of KEPT) ui[name].value = kept[name] ?? "";
    // A key lives no longer than its tab.
    ui.key.value = recall("key", sessionStorage) ?? "";
    ui.key.addEventListener("change", () => {
      keep("key", this.key, sessionStorage);
      onKey();
    });
    ui.open.addEventListener("click", () => ui.settings.showModal());
    ui.settings.addEventListener("change", () => this.#keep());
    ui.tools.addEventListener("input", () => this.#checkTools());
    this.#checkTools();
  }

  get key() {
    return this.#ui.key.value;
  }

  get system() {
    return this.#ui.system.value;
  }

  /** The fields of a request that they are. */
  get fields() {
    const { temperature, most, effort, tools } = this.#ui;
    return {
      temperature: numberIn(temperature),
      max_completion_tokens: numberIn(most),
      reasoning_effort: effort.value || undefined,
      tools: toolsOf(tools.value),
    };
  }

  /** Whether all of them make sense; shows the one that does not. */
  check() {
    const [form] = this.#ui.settings.children;
    if (form.checkValidity()) return true;
    this.#ui.settings.showModal();
    return form.reportValidity();
  }

  /** Asks for the server's key, and says why; without a reason there is no need for it any more. */
  askForKey(reason) {
    this.#ui["key-problem"].textContent = reason;
    if (!reason) return;
    if (!this.#ui.settings.open) this.#ui.settings.showModal();
    this.#ui.key.focus();
  }

  #keep() {
    keep("settings", Object.fromEntries(KEPT.map((name) => [name, this.#ui[name].value])));
  }

  #checkTools() {
    const { tools } = this.#ui;
    try {
      toolsOf(tools.value);
      tools.setCustomValidity("");
    } catch (error) {
      tools.setCustomValidity(error.message);
    }
  }
}

function numberIn({ value }) {
  return value === "" ? undefined : Number(value);
}
