// The list of executions and the dashboard: how often the server is asked, how long one waits, how time is worded.

import assert from "node:assert/strict";
import { test } from "node:test";

import { barLength, duration, throttled, wait } from "../../executions_app/static/executions_app/list.js";

const words = { seconds: "%(number)s s", minutes: "%(minutes)s m %(seconds)s s", hours: "%(hours)s h %(minutes)s m" };
// Timers are the test's; promises settle by themselves.
const settled = () => new Promise((resolve) => setImmediate(resolve));

for (const [ms, text] of [
  [0, "0 s"],
  [999, "0 s"],
  [59_999, "59 s"],
  [60_000, "1 m 00 s"],
  [3_599_999, "59 m 59 s"],
  [3_600_000, "1 h 00 m"],
  [90_061_000, "25 h 01 m"],
]) {
  test(`${ms} ms read ${text}`, () => assert.equal(duration(ms, words), text));
}

test("a translation may turn the parts around", () => {
  assert.equal(duration(61_000, { ...words, minutes: "%(seconds)s초 %(minutes)s분" }), "01초 1분");
});

test("the first call acts at once, a burst acts once more when its pause is over", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let acts = 0;
  const call = throttled(async () => {
    acts += 1;
  });
  call();
  assert.equal(acts, 1);
  for (let n = 0; n < 50; n += 1) call();
  await settled();
  t.mock.timers.tick(999);
  assert.equal(acts, 1);
  t.mock.timers.tick(1);
  assert.equal(acts, 2);
  await settled();
  t.mock.timers.tick(5000);
  assert.equal(acts, 2);
});

test("an answer that does not come stops nothing", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let acts = 0;
  const call = throttled(async () => {
    acts += 1;
    throw new TypeError("Failed to fetch");
  });
  call();
  call();
  await settled();
  t.mock.timers.tick(1000);
  assert.equal(acts, 2);
});

test("tries to connect are further and further apart, up to half a minute, and never at one time", () => {
  assert.deepEqual([0, 1, 2, 3].map((failures) => wait(failures, 1)), [500, 1000, 2000, 4000]);
  assert.equal(wait(50, 1), 30_000);
  assert.equal(wait(50, 0), 15_000);
});

test("a bar reaches its middle at what is usual, and never leaves its frame", () => {
  assert.deepEqual([0, 50, 100, 150, 1000].map((ms) => barLength(ms, 100)), [1, 15, 30, 45, 60]);
});
