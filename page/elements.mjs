/** A new element; what a text holds is never markup. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A button that copies a text, and says so. */
export function copyButton(textOf, name) {
  const button = make("button", { type: "button", className: "small copy" }, "Copy");
  if (name) button.ariaLabel = name;
  button.addEventListener("click", async () => {
    button.textContent = (await copy(textOf())) ? "Copied" : "Not allowed";
    setTimeout(() => button.replaceChildren("Copy"), 1500);
  });
  return button;
}

/** Browsers let only pages of this machine, or over TLS, write to the clipboard. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
