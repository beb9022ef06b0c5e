// Who worked when: a row for each node with a bar for each attempt and for each wait. Only what is seen is there.

import { clock, duration, h, icon, labelOf, LOOKS, pictureOf, say, word } from "./dom.js";
import { attemptsOf, exactly, isOver, lasted, shown } from "./state.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").NodeState} NodeState
 * @typedef {{kind: "attempt" | "wait", outcome: string, number: number, from: number, to: number}} Bar
 */

export const ROW = 28;
const MARGIN = 8;

/** The rows that can be seen, and some around them. @param {number} top @param {number} height @param {number} count */
export function visible(top, height, count) {
  const first = Math.max(0, Math.floor(top / ROW) - MARGIN);
  return { first, last: Math.min(count, Math.ceil((top + height) / ROW) + MARGIN) };
}

/** The bars of a node, as times. @param {NodeState} node @param {number} now @returns {Bar[]} */
export function barsOf(node, now) {
  /** @type {Bar[]} */
  const bars = [];
  const attempts = attemptsOf(node);
  attempts.forEach((attempt, index) => {
    const [from, to] = [exactly(attempt.started_at), attempt.ended_at ? exactly(attempt.ended_at) : now];
    bars.push({ kind: "attempt", outcome: attempt.outcome, number: attempt.number, from, to: Math.max(from, to) });
    const next = attempts[index + 1];
    const until = next ? exactly(next.started_at) : shown(node) === "retrying" && node.due_at ? exactly(node.due_at) : null;
    if (attempt.ended_at && until !== null && until > to) {
      bars.push({ kind: "wait", outcome: "retrying", number: attempt.number + 1, from: to, to: until });
    }
  });
  return bars;
}

/** Round steps for about so many marks on an axis. @param {number} span milliseconds @param {number} marks */
export function stepOf(span, marks) {
  const rough = Math.max(span / marks, 0.001);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= rough) ?? rough;
}

export class Timeline {
  /** @param {HTMLElement} host @param {{open(key: string): void}} ports */
  constructor(host, ports) {
    this.host = host;
    this.ports = ports;
    this.order = "start";
    this.scale = 1;
    this.state = /** @type {State | null} */ (null);
    this.axis = h("div", { class: "pt-axis", "aria-hidden": "true" });
    this.rows = h("div", { class: "pt-rows", role: "list" });
    host.replaceChildren(this.axis, this.rows);
    host.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(host);
  }

  /** @param {State} state */
  update(state) {
    this.state = state;
    const nodes = [...state.nodes.values()];
    const now = Date.now();
    // What has not started comes last.
    const start = (/** @type {NodeState} */ node) => (node.started_at ? exactly(node.started_at) : Number.MAX_VALUE);
    if (this.order === "start") nodes.sort((a, b) => start(a) - start(b));
    if (this.order === "duration") nodes.sort((a, b) => (lasted(b, now) ?? -1) - (lasted(a, now) ?? -1));
    this.nodes = nodes;
    this.draw();
  }

  /** @param {number} factor */
  zoom(factor) {
    this.scale = Math.min(64, Math.max(1, this.scale * factor));
    this.draw();
  }

  draw() {
    const { state, nodes } = this;
    if (!state || !nodes || !this.host.clientHeight) return;
    const { execution } = state;
    const begun = exactly(execution.started_at ?? execution.created_at);
    const now = Math.max(Date.now(), begun);
    const ended = isOver(state) ? exactly(execution.ended_at) : now;
    const due = nodes.map((node) => (shown(node) === "retrying" && node.due_at ? exactly(node.due_at) : 0));
    const span = Math.max(ended, ...(isOver(state) ? [] : due)) - begun || 1;
    const range = visible(this.host.scrollTop, this.host.clientHeight, nodes.length);
    this.rows.style.setProperty("height", `${nodes.length * ROW}px`);
    this.host.style.setProperty("--pt-scale", String(this.scale));
    this.rows.replaceChildren(...nodes.slice(range.first, range.last).map((node, index) => {
      const row = this.row(node, begun, span, isOver(state) ? ended : now);
      row.style.setProperty("top", `${(range.first + index) * ROW}px`);
      row.setAttribute("aria-setsize", nodes.length);
      row.setAttribute("aria-posinset", range.first + index + 1);
      return row;
    }));
    this.drawAxis(span);
  }

  /** @param {NodeState} node @param {number} begun @param {number} span @param {number} now */
  row(node, begun, span, now) {
    const bars = barsOf(node, now).map((bar) => {
      const what = bar.kind === "wait" ? say("waits", { number: bar.number })
        : `${say("attempt", { number: bar.number })}: ${word("outcome", bar.outcome)}`;
      const title = `${what}, ${duration(bar.to - bar.from)}, ${clock(new Date(bar.from).toISOString())}`;
      const element = h("span", { class: `pt-bar pt-bar-${bar.kind} pt-${LOOKS[bar.outcome] ?? "failed"}`, title });
      element.style.setProperty("left", `${((bar.from - begun) / span) * 100}%`);
      element.style.setProperty("width", `${((bar.to - bar.from) / span) * 100}%`);
      return element;
    });
    const status = shown(node);
    const open = () => this.ports.open(node.key);
    const label = h("button", { type: "button", class: `pt-row-label pt-${status}`, "aria-label": labelOf(node), click: open },
      icon(pictureOf(node, status)), h("span", {}, node.name), h("small", {}, duration(node.ended_at ? lasted(node, now) : null)));
    return h("div", { class: "pt-row", role: "listitem" }, label, h("div", { class: "pt-track" }, bars));
  }

  /** @param {number} span */
  drawAxis(span) {
    const step = stepOf(span, Math.max(2, (this.host.clientWidth * this.scale) / 140));
    const marks = Array.from({ length: Math.floor(span / step) + 1 }, (_none, index) => {
      const mark = h("span", {}, index ? duration(index * step) : "0");
      mark.style.setProperty("left", `${((index * step) / span) * 100}%`);
      return mark;
    });
    this.axis.replaceChildren(h("div", { class: "pt-track" }, marks));
  }
}
