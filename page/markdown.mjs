// Markdown as elements. What a model wrote is only ever text in them.

import { lexer } from "./marked.mjs";
import { copyButton, make } from "./elements.mjs";

/** What stands in an element, block by block, so that only what changed is made anew. */
const shown = new WeakMap();

/** Shows a text in Markdown; it may be the same with more behind it. */
export function showMarkdown(element, text) {
  const blocks = blocksOf(text);
  const before = shown.get(element) ?? [];
  const same = blocks.findIndex(({ raw }, index) => raw !== before[index]);
  const kept = same < 0 ? blocks.length : same;
  while (element.childNodes.length > kept) element.lastChild.remove();
  for (const block of blocks.slice(kept)) element.append(blockOf(block));
  shown.set(
    element,
    blocks.map(({ raw }) => raw),
  );
}

function blocksOf(text) {
  try {
    return lexer(text).filter(({ type }) => type !== "space" && type !== "def");
  } catch {
    // For example thousands of quotes within each other.
    return [{ type: "code", raw: text, text }];
  }
}

function blockOf(token) {
  const { type } = token;
  if (type === "heading") return make(`h${Math.min(token.depth + 2, 6)}`, {}, ...inside(token));
  if (type === "code") return codeOf(token);
  if (type === "blockquote")
    return make("blockquote", {}, ...token.tokens.filter(isShown).map(blockOf));
  if (type === "list") return listOf(token);
  if (type === "table") return tableOf(token);
  if (type === "hr") return make("hr");
  return make("p", {}, ...inside(token));
}

function isShown({ type }) {
  return type !== "space" && type !== "def";
}

function codeOf({ text, lang }) {
  const [language = ""] = (lang ?? "").split(/\s/, 1);
  const head = make(
    "figcaption",
    {},
    language,
    copyButton(() => text, "Copy the code"),
  );
  const code = make("pre", { tabIndex: 0 }, make("code", {}, text));
  code.ariaLabel = language ? `Code in ${language}` : "Code";
  code.role = "region";
  return make("figure", { className: "code" }, head, code);
}

function listOf({ ordered, start, items }) {
  const list = make(ordered ? "ol" : "ul", ordered && start > 1 ? { start } : {});
  for (const { tokens } of items)
    list.append(make("li", {}, ...tokens.filter(isShown).flatMap(partOf)));
  return list;
}

/** The text of a tight list has no paragraph. */
function partOf(token) {
  if (token.type === "text" || token.type === "checkbox")
    return token.tokens ? inside(token) : pieceOf(token);
  return blockOf(token);
}

function tableOf({ header, rows, align }) {
  const rowOf = (tag) => (cells) =>
    make("tr", {}, ...cells.map((cell, index) => cellOf(tag, cell, align[index])));
  const head = make("thead", {}, rowOf("th")(header));
  const table = make("table", {}, head, make("tbody", {}, ...rows.map(rowOf("td"))));
  const frame = make("div", { className: "table", tabIndex: 0, role: "region" }, table);
  frame.ariaLabel = "Table";
  return frame;
}

function cellOf(tag, cell, align) {
  return make(tag, align ? { className: align } : {}, ...inside(cell));
}

function inside({ tokens, text }) {
  return tokens ? tokens.map(pieceOf) : [text];
}

const TAGS = { strong: "strong", em: "em", del: "s" };

function pieceOf(token) {
  const { type, text = "", raw } = token;
  if (TAGS[type]) return make(TAGS[type], {}, ...inside(token));
  if (type === "codespan") return make("code", {}, text);
  if (type === "br") return make("br");
  if (type === "link") return linkOf(token);
  if (type === "checkbox") return token.checked ? "☑ " : "☐ ";
  // Markup and pictures stay as they were written: nothing is run, and nothing fetched.
  if (type === "html" || type === "image") return raw;
  return token.tokens ? make("span", {}, ...inside(token)) : withoutEntities(text);
}

function linkOf(token) {
  if (!/^(https?:|mailto:)/i.test(token.href)) return make("span", {}, ...inside(token));
  const { href } = token;
  return make("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...inside(token));
}

/** Markdown knows the names that HTML has for characters. */
function withoutEntities(text) {
  return text.replace(/&(?:[a-z]\w{1,30}|#\d{1,7}|#x[\da-f]{1,6});/gi, (entity) => {
    const { documentElement } = new DOMParser().parseFromString(entity, "text/html");
    return documentElement.textContent;
  });
}
