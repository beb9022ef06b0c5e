// The nodes as a table: the server's rows are kept true, found, put in order, and joined by those that it left out.

import { byId, clock, duration, h, icon, nodeMark, progressOf, say, word } from "./dom.js";
import { lasted, shown } from "./state.js";

/** @typedef {import("./state.js").State} State @typedef {import("./state.js").NodeState} NodeState */

const AT_ONCE = 1000;

export class Table {
  /** @param {HTMLTableElement} table */
  constructor(table) {
    this.body = table.tBodies[0];
    /** @type {Map<string, HTMLTableRowElement>} */
    this.rows = new Map([...this.body.rows].map((row) => [row.dataset.key ?? "", row]));
    this.limit = AT_ONCE;
    this.sort = { by: "", down: false };
    this.find = byId("pt-table-find");
    this.status = byId("pt-table-status");
    this.more = byId("pt-table-more");
    byId("pt-table-tools").hidden = false;
    for (const input of [this.find, this.status]) input.addEventListener("input", () => this.arrange());
    this.more.addEventListener("click", () => this.arrange((this.limit += AT_ONCE)));
    for (const head of table.querySelectorAll("th[data-sort]")) {
      const button = h("button", { type: "button", click: () => this.sortBy(head) });
      button.append(...head.childNodes);
      head.append(button);
    }
  }

  /** @param {any} head */
  sortBy(head) {
    const by = head.dataset.sort;
    this.sort = { by, down: this.sort.by === by && !this.sort.down };
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
    this.arrange();
  }

  /** @param {State} state @param {Iterable<string>} keys */
  update(state, keys) {
    this.state = state;
    for (const key of keys) {
      const [node, row] = [state.nodes.get(key), this.rows.get(key)];
      if (node && row) this.fill(row, node);
    }
    // What is filtered or in an order moves when it changes; a plain table stays as it is.
    if (this.status.value || this.sort.by || this.rows.size < Math.min(this.limit, state.nodes.size)) this.arrange();
    else this.count(state.nodes.size, state.nodes.size);
  }

  /** @param {HTMLTableRowElement} row @param {NodeState} node */
  fill(row, node) {
    const [, , status, , retries, started, took] = row.cells;
    const note = node.error?.message ?? node.details?.cause ?? "";
    status.replaceChildren(nodeMark(node), " ", h("span", { class: "pt-quiet" }, progressOf(node) || note.slice(0, 160)));
    retries.textContent = node.retry_count ? String(node.retry_count) : "";
    started.textContent = clock(node.started_at).slice(0, 8);
    took.textContent = duration(node.ended_at ? lasted(node, 0) : null);
  }

  /** @param {NodeState} node */
  rowOf(node) {
    let row = this.rows.get(node.key);
    if (!row) {
      row = /** @type {HTMLTableRowElement} */ (h("tr", { "data-key": node.key },
        h("th", { scope: "row" }, h("a", { href: `#node=${node.key}` }, node.name)),
        h("td", { class: "pt-wide" }, h("span", { class: "pt-type" }, icon(node.type), word("type", node.type))),
        h("td"), h("td", { class: "pt-wide pt-numeric" }, node.level), h("td", { class: "pt-wide pt-numeric" }),
        h("td", { class: "pt-wide" }), h("td", { class: "pt-numeric" })));
      this.rows.set(node.key, row);
      this.fill(row, node);
    }
    return row;
  }

  arrange(_limit = 0) {
    if (!this.state) return;
    const text = this.find.value.trim().toLowerCase();
    const found = [...this.state.nodes.values()].filter((node) =>
      (!this.status.value || shown(node) === this.status.value)
      && (!text || `${node.key} ${node.name} ${node.type}`.toLowerCase().includes(text)));
    const { by, down } = this.sort;
    const value = (/** @type {any} */ node) => (by === "duration" ? lasted(node, Date.now()) : node[by]) ?? "";
    if (by) found.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0) * (down ? -1 : 1));
    this.body.replaceChildren(...found.slice(0, this.limit).map((node) => this.rowOf(node)));
    this.more.hidden = found.length <= this.limit;
    this.more.textContent = say("more", { count: found.length - this.limit });
    this.count(found.length, this.state.nodes.size);
  }

  /** @param {number} found @param {number} total */
  count(found, total) {
    byId("pt-table-count").textContent = found ? say("rows", { shown: found, total }) : say("nothing_found");
  }
}
