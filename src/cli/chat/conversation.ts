import type { ContentPart, ImagePart, Message } from "../../index.js";

/** What has been said, and what goes with the next message. */
export class Conversation {
  system?: string;
  /** For the next message. */
  pictures: ImagePart[] = [];
  #messages: Message[] = [];

  constructor(system?: string) {
    this.system = system;
  }

  /** All messages but the system's. */
  get turns(): readonly Message[] {
    return this.#messages;
  }

  /** All messages, as the model gets them. */
  get messages(): Message[] {
    const { system } = this;
    const first: Message[] = system === undefined ? [] : [{ role: "system", content: system }];
    return [...first, ...this.#messages];
  }

  ask(text: string): void {
    const parts: ContentPart[] = [{ type: "text", text }, ...this.pictures];
    this.#messages.push({ role: "user", content: this.pictures.length > 0 ? parts : text });
    this.pictures = [];
  }

  add(...messages: Message[]): void {
    this.#messages.push(...messages);
  }

  /** Takes the last question back, and all behind it; its pictures wait again. */
  takeBack(): string | undefined {
    const [question] = this.#messages.splice(this.#lastQuestion());
    if (question === undefined) return undefined;
    const { content } = question;
    if (typeof content === "string") return content;
    this.pictures = content.filter((part) => part.type === "image");
    return content.map((part) => (part.type === "text" ? part.text : "")).join("");
  }

  /** Takes the last reply back; false if nothing was asked. */
  dropReply(): boolean {
    if (this.#lastQuestion() === this.#messages.length) return false;
    this.#messages.splice(this.#lastQuestion() + 1);
    return true;
  }

  /** Goes on with another conversation. */
  replace(system: string | undefined, messages: Message[]): void {
    this.clear();
    this.system = system;
    this.add(...messages);
  }

  /** Forgets what was said. */
  clear(): void {
    this.#messages = [];
    this.pictures = [];
  }

  #lastQuestion(): number {
    const index = this.#messages.findLastIndex(({ role }) => role === "user");
    return index < 0 ? this.#messages.length : index;
  }
}
