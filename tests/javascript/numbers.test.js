// Numbers are shown digit by digit as the server wrote them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { format, formatLine, Numeral, parse } from "../../executions_app/static/executions_app/numbers.js";

for (const text of ["12345678901234567890.12345678", "0.1000", "1E+30", "-0.0", "123456789012345678901234567890", "1.50"]) {
  test(`${text} keeps its digits`, () => {
    const value = parse(`{"a":[${text}]}`).a[0];
    assert.ok(value instanceof Numeral);
    assert.equal(String(value), text);
    assert.equal(formatLine([value]), `[ ${text} ]`);
  });
}

test("what JavaScript keeps is a plain number", () => {
  assert.deepEqual(parse('{"a": [0, -1, 41.2, 1000000]}'), { a: [0, -1, 41.2, 1000000] });
});

test("a number in a text is text", () => {
  const value = { "1.50": "costs 1.50 or \"2.50\" \\ 3.50\\\"" };
  assert.deepEqual(parse(JSON.stringify(value)), value);
  assert.deepEqual(parse('{"1.50": "1.50", "b": 1.50}')["1.50"], "1.50");
});

test("a numeral counts as a number", () => {
  assert.equal(Number(parse("2.50")) * 2, 5);
});

test("JSON for people is indented, or in one line", () => {
  const value = parse('{"a": [1, {"b": null}], "c": {}, "d": "<b>"}');
  assert.equal(formatLine(value), '{ "a": [ 1, { "b": null } ], "c": {}, "d": "<b>" }');
  assert.equal(formatLine({ a: "two\n  lines" }), '{ "a": "two\\n  lines" }');
  assert.equal(format({ a: [1], c: {} }), '{\n  "a": [\n    1\n  ],\n  "c": {}\n}');
  assert.deepEqual(JSON.parse(format(value)), JSON.parse(formatLine(value)));
});
