// Places, lines and views of the graph, as numbers: nothing here touches the page.

/**
 * @typedef {{key: string, name: string, type: string, level: number, x: number, y: number}} GraphNode
 * @typedef {{from: string, to: string, label: string, condition: string | null, default: boolean, handle: string,
 *   bends: number[], state: string, taken: boolean | null}} GraphEdge
 * @typedef {{nodes: GraphNode[], edges: GraphEdge[], count: number, most: number}} Picture
 * @typedef {{x: number, y: number}} Point
 * @typedef {{boxes: Map<string, Point>, width: number, height: number, gap: Point, isDown: boolean}} Placed
 * @typedef {{scale: number, x: number, y: number}} View where the picture's origin is on the screen, and its scale
 */

export const WIDTH = 196;
export const HEIGHT = 52;
export const MIN_SCALE = 0.01;
export const MAX_SCALE = 2.5;
// Below this, labels cannot be read.
export const READABLE = 0.7;
// Between columns there is room for what stands on edges, where anything does.
const GAPS = { across: { x: 64, y: 24 }, labelled: { x: 116, y: 24 }, down: { x: 24, y: 60 } };

/**
 * The middle of each node. Columns go across, or on a narrow screen from top to bottom.
 * @param {Picture} picture
 * @param {boolean} isDown
 * @returns {Placed}
 */
export function place(picture, isDown) {
  const hasLabels = picture.edges.some((edge) => edge.label || edge.condition || edge.default || edge.handle === "error");
  const gap = isDown ? GAPS.down : hasLabels ? GAPS.labelled : GAPS.across;
  const boxes = new Map(picture.nodes.map((node) => [node.key, middle(node.x, node.y, gap, isDown)]));
  const points = [...boxes.values()];
  const width = Math.max(0, ...points.map((point) => point.x)) + WIDTH / 2;
  const height = Math.max(0, ...points.map((point) => point.y)) + HEIGHT / 2;
  return { boxes, width, height, gap, isDown };
}

/** @param {number} column @param {number} row @param {Point} gap @param {boolean} isDown @returns {Point} */
function middle(column, row, gap, isDown) {
  const [right, below] = isDown ? [row, column] : [column, row];
  return { x: right * (WIDTH + gap.x) + WIDTH / 2, y: below * (HEIGHT + gap.y) + HEIGHT / 2 };
}

/**
 * The line of an edge, as the `d` of a path, and what it covers: from side to side, level where it begins, passes a column and ends.
 * @param {GraphEdge} edge
 * @param {Placed} placed
 * @param {GraphNode} source
 */
export function lineOf(edge, placed, source) {
  const { isDown } = placed;
  const [from, to] = [edge.from, edge.to].map((key) => /** @type {Point} */ (placed.boxes.get(key)));
  const half = isDown ? HEIGHT / 2 : WIDTH / 2;
  const points = [shift(from, half, isDown)];
  edge.bends.forEach((row, index) => {
    const at = middle(source.x + index + 1, row, placed.gap, isDown);
    points.push(shift(at, -half, isDown), shift(at, half, isDown));
  });
  points.push(shift(to, -half - 5, isDown));
  const parts = [`M${round(points[0].x)} ${round(points[0].y)}`];
  for (let index = 1; index < points.length; index += 1) {
    const [a, b] = [points[index - 1], points[index]];
    const mid = isDown ? (a.y + b.y) / 2 : (a.x + b.x) / 2;
    const bent = isDown ? [a.x, mid, b.x, mid, b.x, b.y] : [mid, a.y, mid, b.y, b.x, b.y];
    // Odd ones lead from column to column, even ones straight through one.
    parts.push(index % 2 ? `C${bent.map(round).join(" ")}` : `L${round(b.x)} ${round(b.y)}`);
  }
  const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
  const extent = { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
  return { d: parts.join(""), extent };
}

/** Where an edge's label stands: near its end, where few others are. @param {GraphEdge} edge @param {Placed} placed
 * @returns {Point} */
export function labelOf(edge, placed) {
  const to = /** @type {Point} */ (placed.boxes.get(edge.to));
  return placed.isDown ? { x: to.x, y: to.y - HEIGHT / 2 - 14 } : { x: to.x - WIDTH / 2 - 12, y: to.y - 7 };
}

/** @param {Point} point @param {number} by @param {boolean} isDown */
const shift = ({ x, y }, by, isDown) => (isDown ? { x, y: y + by } : { x: x + by, y });

/** @param {number} value */
const round = (value) => Math.round(value * 10) / 10;

/** The view that shows all, never larger than it is. @param {Placed} placed @param {number} width
 * @param {number} height @param {number} [room] around it @returns {View} */
export function fit(placed, width, height, room = 24) {
  const scale = Math.min((width - 2 * room) / placed.width, (height - 2 * room) / placed.height, 1);
  return { scale, x: (width - placed.width * scale) / 2, y: (height - placed.height * scale) / 2 };
}

/** The same scale, with a point of the picture in the middle. @param {View} view @param {Point} point
 * @param {number} width @param {number} height @returns {View} */
export const centre = ({ scale }, point, width, height) =>
  ({ scale, x: width / 2 - point.x * scale, y: height / 2 - point.y * scale });

/**
 * Where to begin: everything where it can be read, else the place of interest at a readable size.
 * @param {Placed} placed @param {Point | null} interest @param {number} width @param {number} height
 * @returns {View}
 */
export function begin(placed, interest, width, height) {
  const whole = fit(placed, width, height);
  if (whole.scale >= READABLE) return whole;
  const view = { scale: Math.max(whole.scale, READABLE), x: 0, y: 0 };
  if (interest) return keepInside(centre(view, interest, width, height), placed, width, height);
  const start = placed.isDown ? { x: placed.width / 2, y: 0 } : { x: 0, y: placed.height / 2 };
  return keepInside(centre(view, start, width, height), placed, width, height);
}

/** No empty margin where the picture is larger than the screen. @param {View} view @param {Placed} placed
 * @param {number} width @param {number} height @returns {View} */
const keepInside = ({ scale, x, y }, placed, width, height) =>
  ({ scale, x: inside(x, width, placed.width * scale), y: inside(y, height, placed.height * scale) });

/** @param {number} at @param {number} screen @param {number} size */
const inside = (at, screen, size) =>
  (size <= screen ? (screen - size) / 2 : Math.min(24, Math.max(at, screen - size - 24)));

/** Zoom by a factor; what is under a point of the screen stays there. @param {View} view @param {number} factor
 * @param {number} x @param {number} y @returns {View} */
export function zoom(view, factor, x, y) {
  const scale = clamp(view.scale * factor);
  const by = scale / view.scale;
  return { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by };
}

/** @param {number} scale */
const clamp = (scale) => Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale));

/** Whether a point of the picture stands well within the screen. @param {View} view @param {Point} point
 * @param {number} width @param {number} height */
export function isInView(view, point, width, height) {
  const [x, y] = [point.x * view.scale + view.x, point.y * view.scale + view.y];
  return x > width * 0.15 && x < width * 0.85 && y > height * 0.1 && y < height * 0.9;
}

/** The part of the picture that is on the screen, and a margin around it. @param {View} view @param {number} width
 * @param {number} height @param {number} margin in pixels of the screen */
export function seen(view, width, height, margin) {
  const [left, top] = [(-margin - view.x) / view.scale, (-margin - view.y) / view.scale];
  return { left, top, right: left + (width + 2 * margin) / view.scale, bottom: top + (height + 2 * margin) / view.scale };
}

/** The middle of some nodes; null of none. @param {Iterable<string>} keys @param {Placed} placed */
export function middleOf(keys, placed) {
  const points = [...keys].flatMap((key) => placed.boxes.get(key) ?? []);
  if (!points.length) return null;
  const sum = points.reduce((a, b) => ({ x: a.x + b.x, y: a.y + b.y }));
  const mean = { x: sum.x / points.length, y: sum.y / points.length };
  // One of them, so that there is something to see between two groups that are far apart.
  return points.reduce((best, point) => (distance(point, mean) < distance(best, mean) ? point : best));
}

/** @param {Point} a @param {Point} b */
const distance = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

/**
 * The node that an arrow key leads to: along the edges where there are any, else the nearest in that direction.
 * @param {Picture} picture @param {Placed} placed @param {string} key
 * @param {"ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown"} arrow
 * @returns {string | null}
 */
export function neighbour(picture, placed, key, arrow) {
  const { isDown } = placed;
  const from = /** @type {Point} */ (placed.boxes.get(key));
  const [forward, back] = isDown ? ["ArrowDown", "ArrowUp"] : ["ArrowRight", "ArrowLeft"];
  /** @type {string[]} */
  let choices = [];
  if (arrow === forward) choices = picture.edges.filter((edge) => edge.from === key).map((edge) => edge.to);
  if (arrow === back) choices = picture.edges.filter((edge) => edge.to === key).map((edge) => edge.from);
  if (!choices.length) {
    const [axis, sign] = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] }[arrow];
    const along = /** @type {"x" | "y"} */ (axis);
    const across = along === "x" ? "y" : "x";
    choices = picture.nodes.map((node) => node.key).filter((other) => {
      const to = /** @type {Point} */ (placed.boxes.get(other));
      const ahead = (to[along] - from[along]) * Number(sign);
      return ahead > 1 && Math.abs(to[across] - from[across]) <= ahead;
    });
  }
  const far = (/** @type {string} */ other) => distance(from, /** @type {Point} */ (placed.boxes.get(other)));
  return choices.reduce((/** @type {string | null} */ best, other) => (best === null || far(other) < far(best) ? other : best), null);
}
