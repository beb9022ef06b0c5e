// One node, with all that is known of it.

import { byId, clock, duration, h, icon, LOOKS, nodeMark, progressOf, say, word } from "./dom.js";
import { textOf } from "./state.js";
import { tree } from "./tree.js";

/**
 * @param {any} node the answer of the server
 * @param {{close(): void, log(key: string): void, graph(key: string): void}} ports
 * @returns {Element[]}
 */
export function inspect(node, ports) {
  const close = h("button", { type: "button", class: "pt-button pt-close", "aria-label": say("close"), click: ports.close }, "×");
  const facts = [
    [say("why"), node.reason && word("reason", node.reason)],
    [say("level"), node.level],
    [say("started"), clock(node.started_at) || say("not_started")],
    [say("duration"), node.duration_ms !== null && duration(Number(node.duration_ms))],
    [say("usage"), node.usage], [say("budget"), node.budget], [say("before"), links(node.incoming)], [say("after"), links(node.outgoing)],
  ].filter(([, value]) => value !== null && value !== false && value !== "" && (!Array.isArray(value) || value.length));
  return [
    h("header", {}, h("h2", { id: "pt-inspector-title" }, icon(node.type), " ", node.name), nodeMark(node), close),
    h("p", { id: "pt-told" }),
    h("p", { class: "pt-tools" },
      h("button", { type: "button", class: "pt-button", click: () => ports.log(node.key) }, say("show_log")),
      h("button", { type: "button", class: "pt-button", click: () => ports.graph(node.key) }, say("show_graph"))),
    h("dl", { class: "pt-facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("section", { id: "pt-text", hidden: "" }, h("h3", {}, say("text")), h("pre", { tabindex: 0, role: "log", "aria-label": say("text") })),
    node.error && section("error", node.error, failure(node.error), trace(node.attempts.at(-1)?.traceback)),
    node.downstream.length > 0 && section("downstream", node.downstream, node.downstream.map(effect)),
    node.details?.cause && h("p", {}, h("a", { href: `#node=${node.details.cause}` }, say("cause", { node: node.details.cause }))),
    node.attempts.length > 0 && section("attempts", node.attempts, h("ol", { class: "pt-attempts" }, node.attempts.map(attempt))),
    node.retry && section("retries", node.retry, node.retry.told.map((/** @type {string} */ sentence) => h("p", {}, sentence))),
    node.details && section("decision", node.details, tree(node.details, "")),
    section("input", node.input, tree(node.input, "")),
    section("output", node.output, tree(node.output, `nodes.${node.key}`)),
    node.configuration && section("configuration", node.configuration, tree(node.configuration, "")),
  ].filter(Boolean);
}

/**
 * Show how far a node is and what it wrote; the rest of what is shown of it stays untouched.
 * @param {import("./state.js").NodeState} node
 */
export function tell(node) {
  const [told, section] = [byId("pt-told"), byId("pt-text")];
  if (!told) return;
  const [pre, text] = [section.lastChild, textOf(node)];
  // The newest line of the text would stand there twice.
  told.replaceChildren(node.progress?.fraction === null ? "" : progressOf(node) || "");
  const isAtEnd = pre.scrollTop + pre.clientHeight > pre.scrollHeight - 8;
  section.hidden = !text;
  // What is added is read aloud, without the rest.
  if (text.startsWith(pre.textContent)) pre.append(text.slice(pre.textContent.length));
  else pre.textContent = text;
  if (isAtEnd) pre.scrollTop = pre.scrollHeight;
}

/** @param {string} title @param {any} source what it is made of @param {...any} children */
const section = (title, source, ...children) =>
  Object.assign(h("section", {}, h("h3", {}, say(title)), children), { source: title + JSON.stringify(source) });

/** @param {string[]} keys */
const links = (keys) => keys.flatMap((key, index) => [index ? ", " : "", h("a", { href: `#node=${key}` }, key)]);

/** @param {any} error */
const failure = (error) => h("p", { class: "pt-error" }, icon("failed"), " ", h("b", {}, error.type), ` ${error.message}`);

/** @param {string | null} text */
const trace = (text) => text && h("details", {}, h("summary", {}, say("traceback")), h("pre", { tabindex: 0 }, text));

/** @param {string} outcome @param {string} name @param {...any} children what is to be said of an attempt or a call */
function line(outcome, name, ...children) {
  const look = LOOKS[outcome] ?? "failed";
  return h("li", { class: `pt-${look}` }, icon(outcome === "timed_out" ? "timeout" : look), " ", h("b", {}, name), ` ${word("outcome", outcome)} `, children);
}

/** @param {any} attempt */
function attempt({ number, outcome, started_at, duration_ms, told, calls, error, traceback }) {
  const took = duration_ms === null ? "" : duration(Number(duration_ms));
  return line(outcome, say("attempt", { number }),
    h("span", { class: "pt-quiet" }, `${clock(started_at)} ${took} ${told && `(${told})`}`),
    error && failure(error), trace(traceback),
    calls.length > 0 && h("ol", { class: "pt-attempts pt-calls", "aria-label": say("calls") },
      calls.map((/** @type {any} */ one) => call(one, `pt-call-${number}-${one.number}`))));
}

/** @param {any} call @param {string} id */
function call(call, id) {
  const parts = ["arguments", "result"].filter((part) => call[part] !== null).map((part) =>
    h("details", { id: `${id}-${part}` }, h("summary", { id: `${id}-${part}-name` }, say(part)), tree(call[part], "")));
  return line(call.outcome, `${word("call", call.kind)} ${call.name}`,
    call.effect && call.effect !== "none" && h("span", { class: "pt-effect" }, call.effect), " ",
    h("span", { class: "pt-quiet" }, call.told), call.error && failure(call.error), parts);
}

/** @param {any} part */
const effect = ({ told, nodes, count }) => h("p", {}, told, " ", links(nodes), count > nodes.length && " …");
