// What of a timeline is drawn: rows that can be seen, bars of attempts and of waits.

import assert from "node:assert/strict";
import { before, test } from "node:test";

/** @type {typeof import("../../executions_app/static/executions_app/timeline.js")} */
let timeline;

before(async () => {
  // The module draws on a page; of it these tests need none.
  globalThis.document = { getElementById: () => ({ dataset: {}, textContent: '{"page":{}}' }), documentElement: { lang: "en" } };
  timeline = await import("../../executions_app/static/executions_app/timeline.js");
});

const at = (second) => `2026-01-02T03:04:${String(second).padStart(2, "0")}.000000Z`;
const second = (number) => Date.parse(at(number));
const attempt = (number, from, to, outcome = "failed") => ({ number, outcome, started_at: at(from), ended_at: to === null ? null : at(to) });

test("of a hundred thousand rows only those in sight are drawn", () => {
  const { first, last } = timeline.visible(50_000 * timeline.ROW, 600, 100_000);
  assert.ok(first <= 50_000 && first > 49_980);
  assert.ok(last - first < 60);
  assert.deepEqual(timeline.visible(0, 600, 3), { first: 0, last: 3 });
  assert.deepEqual(timeline.visible(0, 0, 0), { first: 0, last: 0 });
});

test("attempts and the waits between them are bars of their own", () => {
  const node = { status: "completed", retry_count: 1, started_at: at(1), ended_at: at(9), attempts: [attempt(1, 1, 3), attempt(2, 7, 9, "succeeded")] };
  assert.deepEqual(timeline.barsOf(node, 0).map(({ kind, outcome, from, to }) => [kind, outcome, from, to]), [
    ["attempt", "failed", second(1), second(3)],
    ["wait", "retrying", second(3), second(7)],
    ["attempt", "succeeded", second(7), second(9)],
  ]);
});

test("a wait that lasts goes to when the next attempt is due", () => {
  const node = { status: "pending", retry_count: 1, started_at: at(1), ended_at: null, due_at: at(20), attempts: [attempt(1, 1, 3)] };
  const wait = timeline.barsOf(node, second(5)).at(-1);
  assert.deepEqual([wait.kind, wait.number, wait.to], ["wait", 2, second(20)]);
});

test("what is under way goes on until now", () => {
  const node = { status: "running", retry_count: 0, started_at: at(1), ended_at: null };
  assert.deepEqual(timeline.barsOf(node, second(6)).map(({ outcome, to }) => [outcome, to]), [["started", second(6)]]);
});

test("a node that never started has no bar", () => {
  assert.deepEqual(timeline.barsOf({ status: "skipped", retry_count: 0, started_at: null, ended_at: at(2) }, 0), []);
});

test("an axis has round steps", () => {
  assert.deepEqual([[3000, 6], [90_000, 8], [1, 5], [0, 5]].map(([span, marks]) => timeline.stepOf(span, marks)), [500, 20_000, 0.2, 0.001]);
});
