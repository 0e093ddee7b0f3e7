import { lexer, type Token } from "marked";
import stringWidth from "string-width";
import { harmless, type Output } from "../io.js";
import type { ContentFlow } from "../reply-printer.js";
import { renderMarkdown } from "./markdown.js";

/**
 * Markdown that comes piece by piece: shown as it comes, and once a block is complete again as what
 * it means.
 */
export class MarkdownFlow implements ContentFlow {
  readonly #output: Output;
  /** The block under way, as it stands on the screen. */
  #block = "";

  constructor(output: Output) {
    this.#output = output;
  }

  async write(text: string): Promise<void> {
    const shown = harmless(text).replaceAll("\t", "    ");
    this.#block += shown;
    await this.#output.write(shown);
    if (shown.includes("\n")) await this.#render(withoutLast(lexer(this.#block)));
  }

  async endLine(): Promise<void> {
    if (this.#block === "") return;
    await this.#render(lexer(this.#block));
    if (this.#block !== "") await this.#output.write("\n");
    this.#block = "";
  }

  /** Shows blocks as what they mean; what comes behind them stays as it is. */
  async #render(blocks: Token[]): Promise<void> {
    const length = blocks.reduce((sum, { raw }) => sum + raw.length, 0);
    if (length === 0) return;
    const rest = this.#block.slice(length);
    const rows = this.#rowsOf(this.#block);
    // What has left the screen cannot be written again.
    if (rows <= this.#output.size().rows) {
      const up = rows > 1 ? `\x1b[${rows - 1}A` : "";
      const rendered = await renderMarkdown(blocks, this.#output);
      await this.#output.steer(`\r${up}\x1b[J${rendered}${rest}`);
    } else if (rest === "" && !this.#block.endsWith("\n")) await this.#output.write("\n");
    this.#block = rest;
  }

  #rowsOf(text: string): number {
    const { columns } = this.#output.size();
    const rows = text.split("\n").map((line) => Math.ceil(stringWidth(line) / columns) || 1);
    return rows.reduce((sum, count) => sum + count, 0);
  }
}

/** Only what comes behind a block shows that it is complete. */
function withoutLast(blocks: Token[]): Token[] {
  const last = blocks.findLastIndex(({ type }) => type !== "space");
  return blocks.slice(0, Math.max(last, 0));
}
