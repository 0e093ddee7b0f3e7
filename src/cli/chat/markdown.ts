import type { Token, Tokens } from "marked";
import { styleText } from "node:util";
import type { Output } from "../io.js";
import { table } from "../table.js";

/** Blocks of Markdown, as a terminal shows them best. */
export async function renderMarkdown(blocks: Token[], output: Output): Promise<string> {
  const texts = await Promise.all(
    blocks.map((block) => renderBlock(block as Tokens.Generic, output)),
  );
  return texts.join("");
}

async function renderBlock(token: Tokens.Generic, output: Output): Promise<string> {
  switch (token.type) {
    case "space":
      return "\n";
    case "heading":
      return `${bold(inline(token.tokens))}\n\n`;
    case "code":
      return codeBlock(token as Tokens.Code);
    case "blockquote":
      return prefixed(await renderMarkdown(token.tokens ?? [], output), dim("│ "), dim("│ "));
    case "list":
      return list(token as Tokens.List, output);
    case "table":
      return renderTable(token as Tokens.Table, output);
    case "hr":
      return `${dim("─".repeat(Math.min(output.size().columns, 40)))}\n`;
    default:
      return `${inline(token.tokens) || token.text || token.raw}\n`;
  }
}

/** The code itself stands as it is, to be copied. */
function codeBlock({ text, lang = "" }: Tokens.Code): string {
  const code = text.split("\n").map((line) => style("cyan", line));
  return `${dim(`\`\`\`${lang}`)}\n${code.join("\n")}\n${dim("```")}\n`;
}

async function list({ items, ordered, start }: Tokens.List, output: Output): Promise<string> {
  const texts = items.map(async (item, index) => {
    const mark = item.task ? (item.checked ? "☑ " : "☐ ") : ordered ? `${+start + index}. ` : "• ";
    const text = await renderMarkdown(item.tokens, output);
    return prefixed(text, mark, " ".repeat(mark.length));
  });
  return (await Promise.all(texts)).join("");
}

function renderTable({ header, rows }: Tokens.Table, output: Output): Promise<string> {
  return table(
    header.map(({ text }) => text),
    rows.map((row) => row.map(({ text }) => text)),
    output,
  );
}

function inline(tokens: Token[] = []): string {
  return tokens.map((token) => inlineToken(token as Tokens.Generic)).join("");
}

function inlineToken(token: Tokens.Generic): string {
  const text = () => inline(token.tokens) || (token.text as string);
  switch (token.type) {
    case "strong":
      return bold(text());
    case "em":
      return style("italic", text());
    case "del":
      return style("strikethrough", text());
    case "codespan":
      return style("cyan", token.text);
    case "link":
    case "image":
      return token.href === token.text ? token.text : `${text()} ${dim(`(${token.href})`)}`;
    case "br":
      return "\n";
    default:
      return text() ?? token.raw;
  }
}

/** Lines behind a mark; empty ones at the end are left out. */
function prefixed(text: string, first: string, others: string): string {
  const lines = text.trimEnd().split("\n");
  return lines.map((line, index) => `${index === 0 ? first : others}${line}\n`).join("");
}

const bold = (text: string) => style("bold", text);
const dim = (text: string) => style("dim", text);

function style(format: Parameters<typeof styleText>[0], text: string): string {
  return styleText(format, text, { validateStream: false });
}
