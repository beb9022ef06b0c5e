// A snapshot and the events since say where an execution stands.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  apply, attemptsOf, countsOf, exactly, lasted, mergeText, mergeTries, newestLine, shown, stateOf, textOf,
} from "../../executions_app/static/executions_app/state.js";

const node = (key, fields = {}) => ({
  key, name: key, type: "tool", level: 0, status: "pending", reason: null, retry_count: 0, error: null, details: null,
  started_at: null, ended_at: null, ...fields,
});

const snapshot = (...nodes) => ({ seq: 1, execution: { status: "pending", reason: null, error: null, started_at: null, ended_at: null, nodes } });

const at = (second) => `2026-01-02T03:04:${String(second).padStart(2, "0")}.000000Z`;

let seq = 1;
const entry = (event, data = {}, key = null, second = 0) => ({ seq: (seq += 1), event, node: key, at: at(second), data });

function running(...nodes) {
  seq = 1;
  return stateOf(snapshot(...nodes));
}

test("a node starts, waits, tries again and completes", () => {
  const state = running(node("a"));
  const one = state.nodes.get("a");
  apply(state, [entry("execution.running", {}, null, 1), entry("node.running", { attempt: 1 }, "a", 2)]);
  assert.deepEqual([state.execution.status, state.execution.started_at, one.status, one.started_at], ["running", at(1), "running", at(2)]);
  apply(state, [entry("node.retrying", { attempt: 1, retry_count: 1, delay_ms: 2000, error: { message: "no" } }, "a", 3)]);
  assert.deepEqual([one.status, shown(one), one.retry_count, one.error.message], ["pending", "retrying", 1, "no"]);
  assert.equal(Date.parse(one.due_at), Date.parse(at(5)));
  apply(state, [entry("node.running", { attempt: 2 }, "a", 5)]);
  assert.deepEqual([shown(one), one.started_at, one.due_at], ["running", at(2), null]);
  apply(state, [entry("node.completed", { status: "completed", retry_count: 1 }, "a", 6)]);
  assert.deepEqual([one.status, one.ended_at, one.retry_count, one.error], ["completed", at(6), 1, null]);
  assert.deepEqual(attemptsOf(one).map((attempt) => [attempt.number, attempt.outcome, attempt.ended_at]),
    [[1, "failed", at(3)], [2, "succeeded", at(6)]]);
});

test("a skip says why and where it began", () => {
  const state = running(node("a", { details: { taken: [] } }));
  apply(state, [entry("node.skipped", { status: "skipped", reason: "upstream_failed", cause: "b" }, "a", 4)]);
  const one = state.nodes.get("a");
  assert.deepEqual([one.status, one.reason, one.details], ["skipped", "upstream_failed", { taken: [], cause: "b" }]);
  assert.equal(one.started_at, null);
});

test("what changed is told, and nothing else", () => {
  const state = running(node("a"), node("b"));
  const changes = apply(state, [entry("node.running", { attempt: 1 }, "a"), entry("log", {}, "b"), entry("node.abandoned", {}, "b")]);
  assert.deepEqual([[...changes.nodes], changes.unsure], [["a"], false]);
});

test("a node at work says how far it is, until another attempt of it begins", () => {
  const state = running(node("a"), node("b"));
  const one = state.nodes.get("a");
  const say = (progress, message = "Loading") => apply(state, [{ ...entry("log", { progress }, "a"), message }]);
  apply(state, [entry("node.running", { attempt: 1 }, "a")]);
  const changes = say(0.4);
  assert.deepEqual([[...changes.nodes], [...changes.told]], [[], ["a"]]);
  assert.deepEqual(one.progress, { fraction: 0.4, text: "Loading" });
  for (const other of [2, -1, { done: 1 }, "soon", undefined]) assert.equal(say(other).told.size, 0);
  assert.equal(one.progress.fraction, 0.4);
  apply(state, [entry("node.retrying", { attempt: 1, retry_count: 1, delay_ms: 0, error: {} }, "a")]);
  apply(state, [entry("node.running", { attempt: 2 }, "a")]);
  assert.equal(one.progress, null);
  apply(state, [entry("node.completed", {}, "a")]);
  assert.equal(say(1).told.size, 0);
});

test("a node's text grows by what it writes, each call's a paragraph, until another attempt begins", () => {
  const state = running(node("a"), node("b"));
  const one = state.nodes.get("a");
  const write = (call, delta) => apply(state, [entry("log", { text: { call, delta } }, "a")]);
  apply(state, [entry("node.running", { attempt: 1 }, "a")]);
  assert.equal(textOf(one), "");
  const changes = write(1, "Shares ");
  assert.deepEqual([[...changes.nodes], [...changes.told]], [[], ["a"]]);
  write(1, "rise.\nThey ");
  write(1, "fell.");
  assert.deepEqual([textOf(one), one.progress], ["Shares rise.\nThey fell.", { fraction: null, text: "They fell." }]);
  write(3, "At last");
  assert.deepEqual([textOf(one), one.progress.text], ["Shares rise.\nThey fell.\n\nAt last", "At last"]);
  for (const text of [undefined, "x", { call: 1 }, { call: 1, delta: 5 }]) {
    assert.equal(apply(state, [entry("log", { text }, "a")]).told.size, 0);
  }
  apply(state, [entry("node.retrying", { attempt: 1, retry_count: 1, delay_ms: 0, error: {} }, "a")]);
  assert.match(textOf(one), /At last$/);
  apply(state, [entry("node.running", { attempt: 2 }, "a")]);
  assert.deepEqual([textOf(one), one.progress], ["", null]);
});

test("a text that was begun before the page was opened goes on from what the server has", () => {
  const state = running(node("a", { status: "running", started_at: at(1), progress: { fraction: null, text: "Hel" } }));
  const one = state.nodes.get("a");
  const write = (delta, call = 1) => apply(state, [entry("log", { text: { call, delta } }, "a")]);
  write("lo");
  assert.equal(one.progress.text, "Hello");
  write(", you");
  // The server read the journal when the first of these was in it.
  mergeText(one, { seq: 2, call: 1, text: "Hello" });
  assert.equal(textOf(one), "Hello, you");
  write(".");
  assert.equal(textOf(one), "Hello, you.");
  // It was ahead of the socket.
  mergeText(one, { seq: 6, call: 1, text: "Hello, you. Again" });
  write(" Ag");
  write("ain");
  write(".");
  assert.equal(textOf(one), "Hello, you. Again.");
  write("Next", 2);
  assert.equal(textOf(one), "Hello, you. Again.\n\nNext");
  // Another attempt began where nobody heard it.
  mergeText(one, { seq: 9, call: 0, text: "" });
  assert.equal(textOf(one), "");
});

test("a snapshot keeps what was heard of a text", () => {
  let state = running(node("a", { status: "running", started_at: at(1) }));
  apply(state, [entry("log", { text: { call: 1, delta: "abc" } }, "a")]);
  state = stateOf({ ...snapshot(node("a", { status: "running", started_at: at(1) })), seq: 9 }, state);
  assert.equal(textOf(state.nodes.get("a")), "abc");
});

test("of a long text the end is kept", () => {
  const state = running(node("a", { status: "running", started_at: at(1) }));
  const one = state.nodes.get("a");
  const written = Array.from({ length: 300 }, (_none, index) => `${index}`.padStart(1000, "."));
  for (const delta of written) apply(state, [entry("log", { text: { call: 1, delta } }, "a")]);
  assert.equal(textOf(one), written.join("").slice(-65_536));
  assert.ok(one.pieces.reduce((sum, piece) => sum + piece.text.length, 0) <= 131_072);
  const behind = seq - 100;
  mergeText(one, { seq: behind, call: 1, text: "what the server had some time ago" });
  assert.equal(textOf(one), written.join("").slice(-65_536), "nothing that is wanted is older than what is known");
});

test("a line of a text is its newest that says something, of a long one the end", () => {
  const cases = [["", ""], ["one", "one"], ["one\ntwo", "two"], ["one\n\n ", "one\n\n "], [" \n ", ""], ["a".repeat(500), "a".repeat(80)]];
  for (const [text, line] of cases) assert.equal(newestLine(text), line);
});

test("of a call that began or ended there is more to know", () => {
  const state = running(node("a", { status: "running", started_at: at(1) }));
  const changes = apply(state, [entry("log", { call: { number: 1, kind: "model", outcome: "started" } }, "a")]);
  assert.deepEqual([[...changes.nodes], [...changes.told]], [["a"], []]);
});

test("events that the state has already change nothing", () => {
  const state = running(node("a"));
  const first = entry("node.running", { attempt: 1 }, "a", 1);
  const second = entry("node.failed", { status: "failed", error: {} }, "a", 2);
  apply(state, [first, second]);
  assert.deepEqual([...apply(state, [first, second]).nodes], []);
  assert.equal(state.nodes.get("a").status, "failed");
});

test("a node that has ended stays as it ended, where a snapshot is ahead of its number", () => {
  const state = running(node("a", { status: "completed", started_at: at(1), ended_at: at(2) }));
  apply(state, [entry("node.running", { attempt: 1 }, "a", 1)]);
  assert.equal(state.nodes.get("a").status, "completed");
});

test("after a recovery and at the end only a snapshot is sure", () => {
  const state = running(node("a"));
  assert.equal(apply(state, [entry("execution.recovered")]).unsure, true);
  const ended = apply(state, [entry("execution.failed", { status: "failed", reason: "node_error", error: { message: "x" } }, null, 9)]);
  assert.equal(ended.unsure, true);
  const { status, reason, error, ended_at } = state.execution;
  assert.deepEqual([status, reason, error.message, ended_at], ["failed", "node_error", "x", at(9)]);
});

test("between the request and the end an execution is being cancelled", () => {
  let state = running(node("a"));
  apply(state, [entry("execution.running"), entry("execution.cancel_requested")]);
  assert.equal(state.isCancelling, true);
  state = stateOf({ ...snapshot(node("a")), seq: 5 }, state);
  assert.equal(state.isCancelling, true, "a snapshot does not say, and takes nothing back");
  seq = 5;
  apply(state, [entry("execution.cancelled", { status: "cancelled", reason: "user" })]);
  assert.equal(state.isCancelling, false);
});

test("a node of which nobody knows is passed over", () => {
  const state = running(node("a"));
  apply(state, [entry("node.running", { attempt: 1 }, "zz")]);
  assert.equal(state.seq, 2);
});

test("nodes are counted by the state under which they are shown", () => {
  const state = running(node("a"), node("b", { retry_count: 1, started_at: at(1) }), node("c", { status: "failed" }), node("d"));
  assert.deepEqual(countsOf(state), { pending: 2, retrying: 1, failed: 1 });
});

test("attempts that were before the page was opened are joined with those that were seen", () => {
  const state = running(node("a", { status: "running", retry_count: 1, started_at: at(1) }));
  const tries = (number, ended_at) => ({ number, outcome: ended_at ? "failed" : "started", started_at: at(number), ended_at });
  mergeTries(state, { seq: 1, attempts: { a: [tries(1, at(2)), tries(2, null)], unknown: [] } });
  apply(state, [entry("node.completed", { status: "completed" }, "a", 8)]);
  mergeTries(state, { seq: 1, attempts: { a: [tries(1, at(2)), tries(2, null)] } });
  assert.deepEqual(state.nodes.get("a").attempts.map(({ number, outcome, ended_at }) => [number, outcome, ended_at]),
    [[1, "failed", at(2)], [2, "succeeded", at(8)]]);
});

test("times keep their microseconds", () => {
  assert.equal(lasted({ started_at: "2026-01-02T03:04:05.000006Z", ended_at: "2026-01-02T03:04:05.000506Z" }, 0).toFixed(3), "0.500");
  assert.equal(lasted({ started_at: null, ended_at: null }, 5), null);
  assert.equal(lasted({ started_at: at(1), ended_at: null }, exactly(at(4))), 3000);
});
