// The journal, for people as the log and for programs as events: its last entries, what follows, and earlier ones.

import { clock, h, say } from "./dom.js";
import { formatLine } from "./numbers.js";

const PAGE = 200;
const MOST = 3000;

export class Feed {
  /**
   * @param {HTMLElement} host
   * @param {{fetch(parameters: Record<string, any>): Promise<any>, row(entry: any): Element[], follows(): boolean}} ports
   */
  constructor(host, ports) {
    this.host = host;
    this.ports = ports;
    this.list = /** @type {HTMLElement} */ (host.querySelector("ol"));
    this.earlier = h("button", { type: "button", class: "pt-button", hidden: "", click: () => this.before() }, say("earlier"));
    this.end = h("p", { class: "pt-quiet", hidden: "" }, say("entries_end"));
    host.prepend(this.earlier);
    host.append(this.end);
    this.first = this.last = 0;
    this.busy = this.missed = false;
    // What was asked for before the filters changed is of no use.
    this.turn = 0;
  }

  /** Show the last entries, or those around one. @param {number} [seq] */
  async load(seq) {
    this.turn += 1;
    const turn = this.turn;
    const found = await this.ports.fetch({ limit: PAGE, ...(seq ? { before: seq + PAGE / 2 } : {}) });
    if (turn !== this.turn) return;
    this.list.replaceChildren(...found.items.map((/** @type {any} */ entry) => this.entry(entry)));
    this.first = found.items[0]?.seq ?? 0;
    this.last = found.items.at(-1)?.seq ?? 0;
    this.earlier.hidden = !found.more;
    this.end.hidden = found.items.length > 0;
    const marked = seq && this.list.querySelector(`[data-seq="${seq}"]`);
    if (!marked) return this.scroll();
    marked.classList.add("pt-marked");
    marked.scrollIntoView({ block: "center" });
  }

  /** Fetch what came after the last entry; asked again meanwhile, once more afterwards. */
  async fresh() {
    this.missed = true;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.missed) {
        this.missed = false;
        const turn = this.turn;
        const found = await this.ports.fetch({ limit: 1000, after: this.last });
        if (turn !== this.turn || !found.items.length) continue;
        this.list.append(...found.items.map((/** @type {any} */ entry) => this.entry(entry)));
        this.last = found.items.at(-1).seq;
        this.end.hidden = true;
        this.missed ||= found.more;
        this.trim();
        this.scroll();
      }
    } finally {
      this.busy = false;
    }
  }

  async before() {
    const turn = this.turn;
    const found = await this.ports.fetch({ limit: PAGE, before: this.first });
    if (turn !== this.turn || !found.items.length) return;
    const height = this.host.scrollHeight;
    this.list.prepend(...found.items.map((/** @type {any} */ entry) => this.entry(entry)));
    this.first = found.items[0].seq;
    this.earlier.hidden = !found.more;
    this.host.scrollTop += this.host.scrollHeight - height;
  }

  /** @param {any} entry */
  entry(entry) {
    return h("li", { class: `pt-entry pt-level-${entry.level}`, "data-seq": entry.seq }, this.ports.row(entry));
  }

  /** While it follows, the page does not grow for ever. */
  trim() {
    if (!this.ports.follows() || this.list.children.length <= MOST) return;
    while (this.list.children.length > MOST) this.list.firstElementChild?.remove();
    this.first = Number(/** @type {HTMLElement} */ (this.list.firstElementChild).dataset.seq);
    this.earlier.hidden = false;
  }

  scroll() {
    if (this.ports.follows()) this.host.scrollTop = this.host.scrollHeight;
  }
}

/** @param {any} entry */
const permalink = (entry) =>
  h("a", { class: "pt-seq", href: `#log=${entry.seq}`, "aria-label": say("link", { seq: entry.seq }) }, entry.seq);

/** @param {any} entry */
const nodeOf = (entry) => h("span", { class: "pt-entry-node" }, entry.node && h("a", { href: `#node=${entry.node}` }, entry.node));

/** @param {any} entry */
export const logRow = (entry) => [
  permalink(entry), h("time", {}, clock(entry.at)), h("b", { class: "pt-level" }, entry.level), nodeOf(entry),
  h("span", { class: "pt-message" }, entry.message,
    entry.data?.traceback && h("details", {}, h("summary", {}, say("traceback")), h("pre", { tabindex: 0 }, entry.data.traceback))),
];

/** @param {any} entry */
export const eventRow = (entry) => {
  // The traceback is in the log, where it can be read.
  const { traceback: _traceback, ...data } = entry.data ?? {};
  const text = Object.keys(data).length ? formatLine(data) : "";
  return [permalink(entry), h("time", {}, clock(entry.at)), h("b", { class: "pt-event" }, entry.event), nodeOf(entry),
    h("code", { class: "pt-message" }, text)];
};
