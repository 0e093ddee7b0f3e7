// The images that a message will have.

import { make } from "./elements.mjs";

/** Images chosen, pasted or dropped; shown in a list, from which they can be taken. */
export class Images {
  #list;
  #urls = [];

  constructor(list) {
    this.#list = list;
  }

  get isEmpty() {
    return this.#urls.length === 0;
  }

  /** Adds the images among files. */
  async add(files) {
    const images = [...files].filter(({ type }) => type.startsWith("image/"));
    this.#urls.push(...(await Promise.all(images.map(dataUrl))));
    this.#show();
  }

  /** Gives all of them away. */
  take() {
    const urls = this.#urls;
    this.#urls = [];
    this.#show();
    return urls;
  }

  #show() {
    const items = this.#urls.map((src, index) => {
      const remove = make(
        "button",
        { type: "button", ariaLabel: `Remove image ${index + 1}` },
        "×",
      );
      remove.addEventListener("click", () => {
        this.#urls.splice(index, 1);
        this.#show();
      });
      return make("li", {}, make("img", { src, alt: `Image ${index + 1}` }), remove);
    });
    this.#list.replaceChildren(...items);
  }
}

function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result));
    reader.addEventListener("error", () => reject(reader.error));
    reader.readAsDataURL(file);
  });
}
