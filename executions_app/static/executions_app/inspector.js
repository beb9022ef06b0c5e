// One node, with all that is known of it.

import { clock, duration, h, icon, nodeMark, progressOf, say, word } from "./dom.js";
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
    [say("before"), links(node.incoming)], [say("after"), links(node.outgoing)],
  ].filter(([, value]) => value !== null && value !== false && value !== "" && (!Array.isArray(value) || value.length));
  return [
    h("header", {}, h("h2", { id: "pt-inspector-title" }, icon(node.type), " ", node.name), nodeMark(node), close),
    h("p", { id: "pt-told" }, progressOf(node)),
    h("p", { class: "pt-tools" },
      h("button", { type: "button", class: "pt-button", click: () => ports.log(node.key) }, say("show_log")),
      h("button", { type: "button", class: "pt-button", click: () => ports.graph(node.key) }, say("show_graph"))),
    h("dl", { class: "pt-facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    node.error && section("error", failure(node.error), trace(node.attempts.at(-1)?.traceback)),
    node.downstream.length && section("downstream", node.downstream.map(effect)),
    node.details?.cause && h("p", {}, h("a", { href: `#node=${node.details.cause}` }, say("cause", { node: node.details.cause }))),
    node.attempts.length > 0 && section("attempts", h("ol", { class: "pt-attempts" }, node.attempts.map(attempt))),
    node.retry && section("retries", retries(node.retry)),
    node.details && section("decision", tree(node.details, "")),
    section("input", tree(node.input, "")),
    section("output", tree(node.output, `nodes.${node.key}`)),
    node.configuration && section("configuration", tree(node.configuration, "")),
  ].filter(Boolean);
}

/** @param {string} title @param {...any} children */
const section = (title, ...children) => h("section", {}, h("h3", {}, say(title)), children);

/** @param {string[]} keys */
const links = (keys) => keys.flatMap((key, index) => [index ? ", " : "", h("a", { href: `#node=${key}` }, key)]);

/** @param {any} error */
const failure = (error) => h("p", { class: "pt-error" }, icon("failed"), " ", h("b", {}, error.type), ` ${error.message}`);

/** @param {string | null} text */
const trace = (text) => text && h("details", {}, h("summary", {}, say("traceback")), h("pre", { tabindex: 0 }, text));

/** @param {any} attempt */
function attempt(attempt) {
  const state = { succeeded: "completed", started: "running", cancelled: "cancelled" }[/** @type {string} */ (attempt.outcome)] ?? "failed";
  const took = attempt.duration_ms === null ? "" : duration(Number(attempt.duration_ms));
  return h("li", { class: `pt-${state}` }, icon(attempt.outcome === "timed_out" ? "timeout" : state), " ",
    h("b", {}, say("attempt", { number: attempt.number })), ` ${word("outcome", attempt.outcome)} `,
    h("span", { class: "pt-quiet" }, `${clock(attempt.started_at)} ${took} ${attempt.steps && `(${attempt.steps})`}`),
    attempt.error && failure(attempt.error), trace(attempt.traceback));
}

/** @param {any} retry */
function retries(retry) {
  return [
    h("p", {}, say("retries_used", { used: retry.used, most: retry.max_retries })),
    retry.due_at && h("p", {}, say("retry_due", { at: clock(retry.due_at) })),
    h("p", {}, say("retry_waits", { waits: retry.waits.map((/** @type {any} */ wait) => duration(Number(wait) * 1000)).join(", ") })),
    retry.jitter && h("p", {}, say("retry_jitter", { jitter: retry.jitter })),
  ];
}

/** @param {any} part */
function effect(part) {
  const sentence = say(part.status === "skipped" ? "effect_skipped" : "effect_cancelled",
    { count: part.count, why: word("reason", part.reason) });
  return h("p", {}, sentence, " ", links(part.nodes), part.count > part.nodes.length && " …");
}
