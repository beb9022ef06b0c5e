// Where nodes and lines are drawn, and how one moves among them.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as geometry from "../../executions_app/static/executions_app/geometry.js";

const edge = (from, to, bends = [], fields = {}) => ({ from, to, label: "", condition: null, default: false, handle: "out", bends, state: "open", taken: null, ...fields });
const at = (key, x, y) => ({ key, name: key, type: "tool", level: x, x, y });

// a leads to b and c, both to d; a also past them to e.
const picture = {
  nodes: [at("a", 0, 1), at("b", 1, 0), at("c", 1, 1), at("d", 2, 0.5), at("e", 2, 2)],
  edges: [edge("a", "b"), edge("a", "c"), edge("b", "d"), edge("c", "d"), edge("a", "e", [2])],
  count: 5,
  most: 5000,
};

test("columns go to the right, or down where it is narrow", () => {
  const across = geometry.place(picture, false);
  const down = geometry.place(picture, true);
  assert.ok(across.boxes.get("d").x > across.boxes.get("b").x);
  assert.equal(across.boxes.get("b").x, across.boxes.get("c").x);
  assert.equal(down.boxes.get("b").y, down.boxes.get("c").y);
  assert.ok(down.boxes.get("d").y > down.boxes.get("b").y);
  assert.ok(across.width > down.width);
});

test("edges with words on them have more room", () => {
  const worded = { ...picture, edges: [edge("a", "b", [], { condition: "x > 1" })] };
  assert.ok(geometry.place(worded, false).width > geometry.place(picture, false).width);
});

for (const isDown of [false, true]) {
  test(`a line begins at its source, passes its bends and ends before its target (${isDown ? "down" : "across"})`, () => {
    const placed = geometry.place(picture, isDown);
    const numbers = (d) => d.match(/-?[\d.]+/g).map(Number);
    const line = geometry.lineOf(picture.edges[4], placed, picture.nodes[0]);
    const points = numbers(line.d);
    const [a, e] = ["a", "e"].map((key) => placed.boxes.get(key));
    const half = isDown ? geometry.HEIGHT / 2 : geometry.WIDTH / 2;
    const main = isDown ? "y" : "x";
    assert.deepEqual(points.slice(0, 2), isDown ? [a.x, a.y + half] : [a.x + half, a.y]);
    assert.equal(points.at(isDown ? -1 : -2), e[main] - half - 5);
    // One curve to the bend, straight through its column, one curve to the end.
    assert.equal(points.length, 2 + 6 + 2 + 6);
    const { left, top, right, bottom } = line.extent;
    assert.deepEqual([left, top, right, bottom], isDown ? [a.x, a.y + half, e.x, e.y - half - 5] : [a.x + half, a.y, e.x - half - 5, e.y]);
  });
}

test("all of it fits, and nothing is larger than it is", () => {
  const placed = geometry.place(picture, false);
  const view = geometry.fit(placed, 400, 300);
  assert.ok(placed.width * view.scale <= 400 && placed.height * view.scale <= 300);
  assert.equal(geometry.fit(placed, 5000, 5000).scale, 1);
});

test("a picture that would be too small to read begins readable, at what is of interest", () => {
  const wide = { ...picture, nodes: Array.from({ length: 40 }, (_, index) => at(`n${index}`, index, 0)), edges: [] };
  const placed = geometry.place(wide, false);
  const interest = placed.boxes.get("n30");
  const view = geometry.begin(placed, interest, 800, 500);
  assert.ok(view.scale >= 0.6);
  assert.ok(geometry.isInView(view, interest, 800, 500));
  const start = geometry.begin(placed, null, 800, 500);
  assert.ok(start.x >= 0, "without one at the beginning");
  const end = geometry.begin(placed, placed.boxes.get("n39"), 800, 500);
  assert.ok(placed.width * end.scale + end.x > 700, "and never beyond the end");
});

test("zooming keeps the point under the pointer, within bounds", () => {
  const view = { scale: 1, x: 10, y: 20 };
  const zoomed = geometry.zoom(view, 2, 110, 220);
  assert.deepEqual([(110 - zoomed.x) / zoomed.scale, (220 - zoomed.y) / zoomed.scale], [100, 200]);
  assert.equal(geometry.zoom(view, 1000, 0, 0).scale, geometry.MAX_SCALE);
  assert.equal(geometry.zoom(view, 0, 0, 0).scale, geometry.MIN_SCALE);
});

test("the frontier's middle is one of its nodes", () => {
  const placed = geometry.place(picture, false);
  assert.deepEqual(geometry.middleOf(["b", "e", "c"], placed), placed.boxes.get("c"));
  assert.equal(geometry.middleOf([], placed), null);
  assert.equal(geometry.middleOf(["gone"], placed), null);
});

test("what is seen is the screen and a margin, in the picture's measure", () => {
  assert.deepEqual(geometry.seen({ scale: 2, x: 100, y: 50 }, 400, 200, 20), { left: -60, top: -35, right: 160, bottom: 85 });
});

test("arrow keys follow the edges, and go to the nearest where there are none", () => {
  const placed = geometry.place(picture, false);
  const go = (key, arrow) => geometry.neighbour(picture, placed, key, arrow);
  assert.equal(go("a", "ArrowRight"), "c");
  assert.equal(go("d", "ArrowLeft"), "b");
  assert.equal(go("b", "ArrowDown"), "c");
  assert.equal(go("c", "ArrowUp"), "b");
  assert.equal(go("a", "ArrowLeft"), null);
  assert.equal(geometry.neighbour(picture, geometry.place(picture, true), "a", "ArrowDown"), "c");
});
