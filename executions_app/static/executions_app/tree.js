// JSON as a tree whose branches are made when they are opened; every place can be copied as the path by which
// expressions reach it.

import { h, say } from "./dom.js";
import { format, Numeral } from "./numbers.js";

const AT_ONCE = 100;
const NAME = /^[A-Za-z_]\w*$/;

/** @param {any} value @param {string} path where it stands, for expressions; empty where they cannot reach it */
export function tree(value, path) {
  const copy = h("button", { type: "button", class: "pt-copy-all", click: () => copied(copy, format(value)) }, say("copy"));
  const isLeaf = isPlain(value) || !Object.keys(value).length;
  return h("div", { class: "pt-tree" }, isLeaf ? leaf(value) : [copy, branch(value, path)]);
}

/** @param {any} value */
const isPlain = (value) => value === null || typeof value !== "object" || value instanceof Numeral;

/** @param {any} value */
function leaf(value) {
  if (value === null || value === undefined) return h("span", { class: "pt-null" }, say("no_value"));
  if (typeof value === "object" && !(value instanceof Numeral)) {
    return h("span", { class: "pt-null" }, say(Array.isArray(value) ? "empty_list" : "empty_object"));
  }
  return h("span", { class: `pt-value-${value instanceof Numeral ? "number" : typeof value}` }, String(value));
}

/** @param {any} value @param {string} path */
function branch(value, path) {
  const list = h("ul");
  const isList = Array.isArray(value);
  const entries = Object.entries(value);
  const add = (/** @type {number} */ from) => {
    list.append(...entries.slice(from, from + AT_ONCE).map(([key, item]) => {
      const deeper = isList ? `${path}[${key}]` : `${path}${NAME.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`}`;
      return entry(key, item, path ? deeper : "");
    }));
    const left = entries.length - from - AT_ONCE;
    const click = () => (more.remove(), add(from + AT_ONCE));
    const more = h("li", {}, h("button", { type: "button", click }, say("more", { count: left })));
    if (left > 0) list.append(more);
  };
  add(0);
  return list;
}

/** @param {string} key @param {any} value @param {string} path */
function entry(key, value, path) {
  const click = (/** @type {Event} */ event) => (event.preventDefault(), copied(button, path));
  const names = { "aria-label": say("copy_path", { path }), title: path };
  const button = path && h("button", { type: "button", class: "pt-copy", ...names, click }, "⧉");
  const name = h("span", { class: "pt-key" }, key);
  const inside = isPlain(value) ? 0 : Object.keys(value).length;
  if (!inside) return h("li", {}, name, ": ", leaf(value), button || null);
  const size = say(Array.isArray(value) ? "items" : "keys", { count: inside });
  const details = h("details", {}, h("summary", {}, name, " ", h("small", {}, size), button || null));
  details.addEventListener("toggle", () => details.append(branch(value, path)), { once: true });
  // What is short is seen at once.
  if (inside <= 5 && path.split(".").length < 4) details.open = true;
  return h("li", {}, details);
}

/** @param {HTMLElement} button @param {string} text */
async function copied(button, text) {
  // Without TLS there is no clipboard: then it stands there to be copied by hand.
  if (!navigator.clipboard) return void prompt("", text);
  await navigator.clipboard.writeText(text);
  const before = button.textContent;
  button.textContent = say("copied");
  setTimeout(() => (button.textContent = before), 1500);
}
