// The live graph. Every node is drawn once; afterwards only what has changed is touched.

import { duration, h, labelOf, pictureOf, say, shapesOf, svg, throttled, word } from "./dom.js";
import * as geometry from "./geometry.js";
import { lasted, shown, STATES } from "./state.js";

/**
 * @typedef {import("./state.js").State} State
 * @typedef {import("./state.js").NodeState} NodeState
 * @typedef {{left: number, top: number, right: number, bottom: number}} Extent
 * @typedef {{group: any, extent: Extent, isShown: boolean}} Part
 * @typedef {Part & {word: any, picture: any, status: string, seen: string}} Drawn
 */

const { WIDTH, HEIGHT } = geometry;
const LETTERS = 20;
const LABEL_LETTERS = 16;
const TIP = 14;
// Labels that are smaller than this cannot be read and are left out.
const FAR = 0.4;
// Nodes pulse while so many run: of more than that the changes themselves tell.
const CALM = 8;
// What is nearly in sight is there already when it comes into sight.
const MARGIN = 120;
const BOX = `M6 0H${WIDTH - 6}a6 6 0 0 1 6 6V${HEIGHT - 6}a6 6 0 0 1 -6 6H6a6 6 0 0 1 -6 -6V6a6 6 0 0 1 6 -6Z`;
const DIAMOND = `M0 ${HEIGHT / 2}L${TIP} 0H${WIDTH - TIP}L${WIDTH} ${HEIGHT / 2}L${WIDTH - TIP} ${HEIGHT}H${TIP}Z`;
const STRIPE = `M6 0H8V${HEIGHT}H6a6 6 0 0 1 -6 -6V6a6 6 0 0 1 6 -6Z`;
const DIAMOND_STRIPE = `M0 ${HEIGHT / 2}L${TIP} 0H${TIP + 6}L7 ${HEIGHT / 2}L${TIP + 6} ${HEIGHT}H${TIP}Z`;

export class Graph {
  /** @param {HTMLElement} host @param {{open(key: string): void, unfollow(): void, isDown(): boolean}} ports */
  constructor(host, ports) {
    this.host = host;
    this.ports = ports;
    /** @type {Map<string, Drawn>} */
    this.drawn = new Map();
    this.picture = /** @type {geometry.Picture | null} */ (null);
    this.view = { scale: 1, x: 0, y: 0 };
    this.width = this.height = this.gliding = 0;
    this.touched = this.dragged = this.isDown = false;
    this.current = "";
    this.lines = /** @type {any[]} */ ([]);
    /** @type {Map<string, any[]>} */
    this.outgoing = new Map();
    this.following = true;
    /** What runs, and what has failed. @type {string[]} */
    this.frontier = this.failures = [];
    this.mapped = { scale: 1, x: 0, y: 0 };
    this.sketch = throttled(() => this.drawMap(), 100);
    // Whoever watches has time to see where it is now.
    this.followSoon = throttled(() => this.following && this.follow(), 1500);
    /** @type {Record<string, string>} */
    this.colours = {};
    new ResizeObserver(() => this.resized()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColours());
    new MutationObserver(() => this.readColours()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** @param {geometry.Picture} picture @param {State} state */
  show(picture, state) {
    this.picture = picture;
    this.isDown = this.ports.isDown();
    this.placed = geometry.place(picture, this.isDown);
    this.drawn.clear();
    this.lines = [];
    this.outgoing.clear();
    this.types = new Map(picture.nodes.map((node) => [node.key, node]));
    const edges = svg("g", {}, picture.edges.map((edge) => this.drawEdge(edge)));
    const nodes = svg("g", {}, picture.nodes.map((node) => this.drawNode(node)));
    this.stage = svg("g", { class: "pt-stage" }, edges, nodes);
    this.surface = svg("svg", { class: "pt-surface", role: "group", "aria-label": say("graph") }, arrows(), this.stage);
    this.map = h("canvas", { class: "pt-minimap", title: say("minimap"), "aria-hidden": "true" });
    this.host.replaceChildren(this.surface, this.map);
    this.listen();
    this.update(state, state.nodes.keys());
    this.touched = false;
    this.setCurrent(picture.nodes[0]?.key ?? "");
    this.resized();
  }

  /** @param {geometry.GraphEdge} edge */
  drawEdge(edge) {
    const source = /** @type {geometry.GraphNode} */ (this.types?.get(edge.from));
    const { d, extent } = geometry.lineOf(edge, /** @type {any} */ (this.placed), source);
    const title = svg("title");
    const group = svg("g", { class: "pt-edge" }, title, svg("path", { d, class: "pt-line" }));
    const text = edge.label || edge.condition || (edge.default ? say("otherwise") : "");
    const label = text || (edge.handle === "error" ? say("on_error") : "");
    if (label) {
      const at = geometry.labelOf(edge, /** @type {any} */ (this.placed));
      const attributes = { ...at, class: "pt-edge-label", "text-anchor": this.isDown ? "middle" : "end" };
      group.append(svg("text", attributes, short(label, LABEL_LETTERS)));
    }
    const drawn = { edge, group, title, label, extent, isShown: true, state: "" };
    this.lines.push(drawn);
    this.outgoing.set(edge.from, [...(this.outgoing.get(edge.from) ?? []), drawn]);
    this.drawState(drawn, edge.state);
    return group;
  }

  /** @param {any} drawn @param {string} state */
  drawState(drawn, state) {
    if (drawn.state === state) return;
    drawn.state = state;
    drawn.group.setAttribute("class", `pt-edge pt-edge-${state}`);
    const told = say("edge", { from: drawn.edge.from, to: drawn.edge.to, state: word("edge", state) });
    drawn.title.textContent = drawn.label ? `${told} (${drawn.label})` : told;
  }

  /** @param {geometry.GraphNode} node */
  drawNode(node) {
    const at = /** @type {geometry.Point} */ (this.placed?.boxes.get(node.key));
    const [x, y] = [at.x - WIDTH / 2, at.y - HEIGHT / 2];
    const isDiamond = node.type === "condition";
    const left = isDiamond ? TIP + 10 : 16;
    const status = svg("text", { class: "pt-word", x: left + 22, y: 39 });
    const picture = svg("g", { transform: `translate(${left} 29) scale(0.75)` });
    const group = svg("g", { transform: `translate(${x} ${y})`, role: "button", tabindex: -1, "data-key": node.key },
      svg("title", {}, node.name),
      svg("path", { class: "pt-box", d: isDiamond ? DIAMOND : BOX }),
      svg("path", { class: `pt-stripe pt-stripe-${node.type}`, d: isDiamond ? DIAMOND_STRIPE : STRIPE }),
      svg("g", { class: "pt-kind", transform: `translate(${left} 9) scale(0.875)` }, shapesOf(node.type)),
      svg("text", { class: "pt-name", x: left + 22, y: 21 }, short(node.name, isDiamond ? LETTERS - 3 : LETTERS)),
      picture, status);
    const extent = { left: x, top: y, right: x + WIDTH, bottom: y + HEIGHT };
    this.drawn.set(node.key, { group, word: status, picture, extent, isShown: true, status: "", seen: "" });
    return group;
  }

  /** @param {State} state @param {Iterable<string>} keys the nodes that may have changed */
  update(state, keys) {
    for (const key of keys) {
      const node = state.nodes.get(key);
      const drawn = this.drawn.get(key);
      if (node && drawn) paint(drawn, node);
    }
    this.sketch();
    const keysOf = (/** @type {string} */ status) => [...this.drawn].filter(([, drawn]) => drawn.status === status).map(([key]) => key);
    [this.frontier, this.failures] = [keysOf("running"), keysOf("failed")];
    this.surface.classList.toggle("pt-busy", this.frontier.length > CALM);
    if (this.following) this.followSoon();
  }

  /** @param {string[]} states of all edges, in their order */
  showEdges(states) {
    this.lines.forEach((line, index) => this.drawState(line, states[index] ?? line.state));
  }

  /** An edge without a condition is taken when its source completed: nobody has to be asked. @param {NodeState} node
   * @returns {boolean} whether somebody has to be asked for some other edge of it */
  settle(node) {
    let isUnsure = false;
    for (const line of this.outgoing.get(node.key) ?? []) {
      const isPlain = node.type !== "condition" && !line.edge.condition && line.edge.handle === "out";
      if (node.status === "completed" && isPlain) this.drawState(line, "taken");
      else isUnsure = true;
    }
    return isUnsure;
  }

  follow() {
    const point = this.placed && geometry.middleOf(this.frontier, this.placed);
    if (!point || geometry.isInView(this.view, point, this.width, this.height)) return;
    this.glide(geometry.centre(this.view, point, this.width, this.height));
  }

  /** @param {geometry.View} to */
  glide(to) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.look(to);
    this.target = to;
    if (this.gliding) return;
    const step = () => {
      const [from, aim] = [this.view, /** @type {geometry.View} */ (this.target)];
      const isNear = Math.hypot(aim.x - from.x, aim.y - from.y) < 2;
      this.look(isNear ? aim : { scale: aim.scale, x: from.x + (aim.x - from.x) / 5, y: from.y + (aim.y - from.y) / 5 });
      this.gliding = isNear ? 0 : requestAnimationFrame(step);
    };
    this.gliding = requestAnimationFrame(step);
  }

  /** @param {geometry.View} view */
  look(view) {
    this.view = view;
    this.stage.style.setProperty("transform", `translate(${view.x}px, ${view.y}px) scale(${view.scale})`);
    this.surface.classList.toggle("pt-far", view.scale < FAR);
    const frame = geometry.seen(view, this.width, this.height, MARGIN);
    // The current node is the way into the graph by keyboard: it stays.
    for (const [key, part] of this.drawn) if (key !== this.current) display(part, frame);
    for (const part of this.lines) display(part, frame);
    this.sketch();
  }

  /** To ask for a colour while much changes would have the browser work out the styles of everything at once. */
  readColours() {
    const style = getComputedStyle(this.host);
    for (const state of STATES) this.colours[state] = style.getPropertyValue(`--pt-${state}`);
    this.colours.frame = style.getPropertyValue("--link-fg");
    this.sketch();
  }

  /** The overview: a canvas, since it is drawn anew whenever anything moves. */
  drawMap() {
    if (!this.placed || this.map.hidden) return;
    const density = devicePixelRatio;
    const { scale, x, y } = this.mapped;
    const pen = this.map.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.map.width, this.map.height);
    pen.setTransform(scale * density, 0, 0, scale * density, x * density, y * density);
    const least = 2 / scale;
    for (const { extent, status } of this.drawn.values()) {
      pen.globalAlpha = status === "pending" || status === "skipped" ? 0.4 : 1;
      pen.fillStyle = this.colours[status];
      pen.fillRect(extent.left, extent.top, Math.max(WIDTH, least), Math.max(HEIGHT, least));
    }
    const frame = geometry.seen(this.view, this.width, this.height, 0);
    pen.globalAlpha = 1;
    pen.lineWidth = 1.5 / scale;
    pen.strokeStyle = this.colours.frame;
    pen.strokeRect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
  }

  /** Whoever moves the graph wants to look elsewhere. @param {geometry.View} view */
  move(view) {
    this.touched = true;
    cancelAnimationFrame(this.gliding);
    this.gliding = 0;
    this.look(view);
    this.ports.unfollow();
  }

  fit() {
    if (this.placed) this.move(geometry.fit(this.placed, this.width, this.height));
  }

  /** @param {number} factor */
  zoom(factor) {
    this.move(geometry.zoom(this.view, factor, this.width / 2, this.height / 2));
  }

  resized() {
    this.width = this.host.clientWidth;
    this.height = this.host.clientHeight;
    if (!this.placed || !this.width) return;
    const whole = geometry.fit(this.placed, this.width, this.height);
    this.map.hidden = whole.scale >= geometry.READABLE;
    this.mapped = geometry.fit(this.placed, this.map.clientWidth, this.map.clientHeight, 6);
    const [width, height] = [this.map.clientWidth * devicePixelRatio, this.map.clientHeight * devicePixelRatio];
    Object.assign(this.map, { width, height });
    this.readColours();
    if (this.touched) return this.look(this.view);
    const interest = geometry.middleOf(this.frontier.length ? this.frontier : this.failures.slice(0, 1), this.placed);
    this.look(geometry.begin(this.placed, interest, this.width, this.height));
  }

  /** @param {string} key */
  setCurrent(key) {
    this.drawn.get(this.current)?.group.setAttribute("tabindex", -1);
    this.current = key;
    const part = this.drawn.get(key);
    if (!part) return;
    part.group.setAttribute("tabindex", 0);
    display(part, part.extent);
  }

  /** @param {string} key @param {boolean} [focused] */
  select(key, focused = true) {
    const point = this.placed?.boxes.get(key);
    if (!point) return;
    this.setCurrent(key);
    if (focused) this.drawn.get(key)?.group.focus({ preventScroll: true });
    const view = { ...this.view, scale: Math.max(this.view.scale, geometry.READABLE) };
    if (geometry.isInView(this.view, point, this.width, this.height) && view.scale === this.view.scale) return;
    this.touched = true;
    this.ports.unfollow();
    this.glide(geometry.centre(view, point, this.width, this.height));
  }

  listen() {
    const { surface } = this;
    surface.addEventListener("wheel", (/** @type {WheelEvent} */ event) => {
      event.preventDefault();
      const box = this.host.getBoundingClientRect();
      this.move(geometry.zoom(this.view, Math.exp(-Math.max(-80, Math.min(80, event.deltaY)) / 300), event.clientX - box.left, event.clientY - box.top));
    }, { passive: false });
    surface.addEventListener("click", (/** @type {any} */ event) => {
      const key = event.target.closest(".pt-node")?.dataset.key;
      if (!key || this.dragged) return;
      this.setCurrent(key);
      this.ports.open(key);
    });
    surface.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.pressed(event));
    this.listenToPointers(surface, (dx, dy) => this.move({ ...this.view, x: this.view.x + dx, y: this.view.y + dy }));
    this.map.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      const { scale, x, y } = this.mapped;
      const at = { x: (event.offsetX - x) / scale, y: (event.offsetY - y) / scale };
      this.move(geometry.centre(this.view, at, this.width, this.height));
    });
  }

  /** One finger moves, two zoom. @param {any} surface @param {(dx: number, dy: number) => void} drag */
  listenToPointers(surface, drag) {
    /** @type {Map<number, PointerEvent>} */
    const down = new Map();
    const spread = ([a, b] = [...down.values()]) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    surface.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      down.set(event.pointerId, event);
      this.dragged = false;
    });
    surface.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      const last = down.get(event.pointerId);
      if (!last) return;
      const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
      if (!this.dragged && Math.hypot(dx, dy) < 4) return;
      if (!this.dragged) surface.setPointerCapture(event.pointerId);
      this.dragged = true;
      const before = down.size === 2 ? spread() : 0;
      down.set(event.pointerId, event);
      if (down.size === 1) drag(dx, dy);
      else if (before) this.zoom(spread() / before);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      surface.addEventListener(name, (/** @type {PointerEvent} */ event) => down.delete(event.pointerId));
    }
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey || !this.picture) return;
    if (step && event.shiftKey) this.move({ ...this.view, x: this.view.x + step[0], y: this.view.y + step[1] });
    else if (step) {
      const arrow = /** @type {"ArrowLeft"} */ (event.key);
      const next = geometry.neighbour(this.picture, /** @type {any} */ (this.placed), this.current, arrow);
      if (next) this.select(next);
    } else if (event.key === "Enter" || event.key === " ") this.ports.open(this.current);
    else if ("+=-".includes(event.key)) this.zoom(event.key === "-" ? 0.8 : 1.25);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }
}

/** @param {Drawn} drawn @param {NodeState} node */
function paint(drawn, node) {
  const status = shown(node);
  const seen = `${status} ${node.reason} ${node.ended_at}`;
  if (drawn.seen === seen) return;
  Object.assign(drawn, { seen, status });
  const ms = node.ended_at ? lasted(node, 0) : null;
  drawn.group.setAttribute("class", `pt-node pt-${status}`);
  drawn.group.setAttribute("aria-label", labelOf(node));
  drawn.word.textContent = ms === null ? word("status", status) : `${word("status", status)} · ${duration(ms)}`;
  drawn.picture.replaceChildren(...shapesOf(pictureOf(node, status)));
}

/** Only what is in sight is painted. @param {Part} part @param {Extent} frame */
function display(part, frame) {
  const { extent } = part;
  const isShown = extent.left <= frame.right && extent.right >= frame.left && extent.top <= frame.bottom && extent.bottom >= frame.top;
  if (part.isShown === isShown) return;
  part.isShown = isShown;
  if (isShown) part.group.removeAttribute("display");
  else part.group.setAttribute("display", "none");
}

/** @param {string} text @param {number} letters */
const short = (text, letters) => (text.length > letters ? `${text.slice(0, letters - 1)}…` : text);

/** The head of the lines. */
function arrows() {
  const size = { refX: 3, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" };
  return svg("defs", {}, svg("marker", { id: "pt-head", class: "pt-head", ...size }, svg("path", { d: "M0 0L8 4L0 8Z" })));
}
