// Elements, words and numbers for people. Text goes into the page as text, never as markup.

import { lasted, shown } from "./state.js";

const root = /** @type {HTMLElement} */ (document.getElementById("pt-execution"));
/** @type {Record<"status" | "reason" | "type" | "outcome" | "call" | "edge" | "page", Record<string, string>>} */
const WORDS = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("pt-words")).textContent ?? "{}");
const LANGUAGE = document.documentElement.lang || undefined;
const CLOCK = new Intl.DateTimeFormat(LANGUAGE, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23",
  timeZone: root.dataset.zone,
});

/** @param {string} id @returns {any} the element of the page, which is of the kind that its template says */
export const byId = (id) => document.getElementById(id);

/** A sentence of the page. @param {string} key @param {Record<string, any>} [values] */
export const say = (key, values = {}) =>
  (WORDS.page[key] ?? key).replace(/%\((\w+)\)s/g, (_all, name) => String(values[name]));

/** @param {"status" | "reason" | "type" | "outcome" | "call" | "edge"} group @param {string} key */
export const word = (group, key) => WORDS[group][key] ?? key;

/**
 * @param {Element} element
 * @param {Record<string, any>} attributes functions are listeners, false and null are left out
 * @param {any[]} children
 */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children @returns {any} */
export const h = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

/** @param {string} tag @param {Record<string, any>} [attributes] @param {...any} children @returns {any} */
export const svg = (tag, attributes = {}, ...children) =>
  filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** @param {string} name */
export const spriteOf = (name) => `${root.dataset.sprite}#${name}`;

/** @type {Map<string, Element>} */
const symbols = new Map();

/** Fetch the sprite: what changes often is drawn from copies, which cost a browser less than references. */
export async function loadSymbols() {
  const sprite = new DOMParser().parseFromString(await (await fetch(spriteOf(""))).text(), "image/svg+xml");
  for (const symbol of sprite.querySelectorAll("symbol")) symbols.set(symbol.id, symbol);
}

/** The shapes of a symbol, for a drawing of its own. @param {string} name */
export const shapesOf = (name) => [...(symbols.get(name)?.children ?? [])].map((shape) => document.importNode(shape, true));

/** @param {string} name */
export const icon = (name) =>
  svg("svg", { class: "pt-icon", "aria-hidden": "true" }, svg("use", { href: spriteOf(name) }));

/** The picture of a state: one that ran out of time has a clock. @param {{reason?: string | null}} of @param {string} state */
export const pictureOf = (of, state) => (of.reason === "timeout" && state === "failed" ? "timeout" : state);

/** Icon and word of a state. @param {string} state @param {string} [picture] */
export const mark = (state, picture = state) =>
  h("span", { class: `pt-status pt-${state}` }, icon(picture), word("status", state));

/** @param {import("./state.js").NodeState} node */
export const nodeMark = (node) => mark(shown(node), pictureOf(node, shown(node)));

/** How far a node is with its work, or the newest line of what it writes, where it says so. @param {import("./state.js").NodeState} node */
export const progressOf = ({ name, status, progress }) => status === "running" && progress && h("span", { class: "pt-progress" },
  progress.fraction !== null && h("progress", { value: progress.fraction, "aria-label": name }), " ", progress.text);

/** The state that an outcome of an attempt or of a call looks like. @type {Record<string, string>} */
export const LOOKS = { started: "running", succeeded: "completed", cancelled: "cancelled", refused: "cancelled", retrying: "retrying" };

/**
 * Put children in place of those before. One that is made of the same stays, with all that was done in it; of others
 * what was open is open again, and what had the focus has it.
 * @param {HTMLElement} host @param {any[]} children their `source`, or how they look, is what they are made of
 */
export function renew(host, children) {
  const focused = document.activeElement?.id;
  const open = [...host.querySelectorAll("details[open][id]")].map(({ id }) => id);
  for (const child of children) child.source ??= child.outerHTML;
  const sources = new Set(children.map((child) => child.source));
  for (const old of /** @type {any[]} */ ([...host.children])) if (!sources.has(old.source)) old.remove();
  let at = /** @type {any} */ (host.firstElementChild);
  for (const child of children) {
    if (at?.source === child.source) at = at.nextElementSibling;
    else host.insertBefore(child, at);
  }
  for (const id of open) byId(id)?.setAttribute("open", "");
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus({ preventScroll: true });
}

/** The time of day. @param {string | null | undefined} text */
export const clock = (text) => (text ? CLOCK.format(new Date(text)) : "");

/** Milliseconds as people read them, as the server writes them. @param {number | null} ms */
export function duration(ms) {
  if (ms === null) return "";
  if (ms < 1000) return say("milliseconds", { number: ms < 10 ? ms.toFixed(1) : ms.toFixed(0) });
  if (ms < 60_000) return say("seconds", { number: (ms / 1000).toFixed(1) });
  const seconds = Math.round(ms / 1000);
  if (ms < 3_600_000) return say("minutes", { minutes: Math.floor(seconds / 60), seconds: pad(seconds % 60) });
  const minutes = Math.round(seconds / 60);
  return say("hours", { hours: Math.floor(minutes / 60), minutes: pad(minutes % 60) });
}

/** @param {number} number */
const pad = (number) => String(number).padStart(2, "0");

/** What there is to read about a node when one cannot see it. @param {import("./state.js").NodeState} node */
export function labelOf(node) {
  const label = say("node_label", { name: node.name, type: word("type", node.type), status: word("status", shown(node)) });
  const ms = node.ended_at ? lasted(node, 0) : null;
  return ms === null ? label : `${label}, ${duration(ms)}`;
}

/**
 * At once when idle, then once per pause while it is asked for again and again.
 * @param {() => void} action @param {number} pause
 */
export function throttled(action, pause) {
  let timer = /** @type {any} */ (null), again = false;
  const run = () => {
    again = false;
    timer = setTimeout(() => {
      timer = null;
      if (again) run();
    }, pause);
    action();
  };
  return () => (timer === null ? run() : void (again = true));
}
