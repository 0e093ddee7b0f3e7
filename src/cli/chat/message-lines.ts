const FENCE = '"""';

/** Makes messages of lines: one each, or more where a line says so. */
export class MessageLines {
  #lines: string[] = [];
  #isFenced = false;

  /** Whether a message has begun that is not whole yet. */
  get isOpen(): boolean {
    return this.#isFenced || this.#lines.length > 0;
  }

  /** The message that a line completes. */
  take(line: string): string | undefined {
    if (this.#isFenced) return this.#takeFenced(line);
    if (!this.isOpen && line.startsWith(FENCE)) {
      this.#isFenced = true;
      const rest = line.slice(FENCE.length);
      return rest === "" ? undefined : this.#takeFenced(rest);
    }
    const isContinued = line.endsWith("\\");
    this.#lines.push(isContinued ? line.slice(0, -1) : line);
    return isContinued ? undefined : this.end();
  }

  /** Adds a line that means nothing but itself; another one follows. */
  paste(line: string): void {
    this.#lines.push(line);
  }

  /** What has come so far. */
  end(): string {
    const message = this.#lines.join("\n");
    this.clear();
    return message;
  }

  clear(): void {
    this.#lines = [];
    this.#isFenced = false;
  }

  #takeFenced(line: string): string | undefined {
    const isLast = line.trimEnd().endsWith(FENCE);
    const text = isLast ? line.trimEnd().slice(0, -FENCE.length) : line;
    if (!isLast || text !== "") this.#lines.push(text);
    return isLast ? this.end() : undefined;
  }
}
