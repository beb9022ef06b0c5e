// The page of an execution: one stream, one state, and the views that show it.

import { byId, duration, h, icon, loadSymbols, mark, pictureOf, renew, say, throttled, word } from "./dom.js";
import { Graph } from "./graph.js";
import { inspect, tell } from "./inspector.js";
import { eventRow, Feed, logRow } from "./log.js";
import { ask, connect, send } from "./server.js";
import { keep, settings } from "./settings.js";
import { apply, countsOf, isOver, lasted, mergeText, mergeTries, shown, STATES, stateOf, TERMINAL } from "./state.js";
import { Refused, Stream } from "./stream.js";
import { Table } from "./table.js";
import { Timeline } from "./timeline.js";
import { tree } from "./tree.js";

const TABS = ["graph", "timeline", "table", "log", "data", "events"];
const root = byId("pt-execution");
const isNarrow = matchMedia("(max-width: 640px)");
/** @type {import("./state.js").State | null} */
let state = null;
let tab = "", inspected = "", failure = "";
const [changed, told] = [new Set(), new Set()].map((empty) => /** @type {Set<string>} */ (empty));

/** Run what may fail, and say so. @param {() => Promise<any>} action */
async function tried(action) {
  try {
    await action();
    if (!failure) trouble("");
  } catch (error) {
    trouble(say(error instanceof Refused ? `refused_${error.code}` : "failed_request"));
  }
}

const stream = new Stream({
  connect,
  look: () => ask("live/"),
  snapshot(snapshot) {
    state = stateOf(snapshot, state);
    for (const key of state.nodes.keys()) changed.add(key);
    if ([...state.nodes.values()].some((node) => node.retry_count)) fetchTries();
    refresh();
    fresh();
    fetchEdges();
    if (state.execution.usage) fetchUsage();
  },
  events(entries) {
    if (!state) return;
    const changes = apply(state, entries);
    for (const key of changes.nodes) changed.add(key);
    for (const key of changes.told) told.add(key);
    const settled = [...changes.nodes].flatMap((key) => state?.nodes.get(key) ?? []).filter((node) => TERMINAL.has(node.status));
    if (settled.map((node) => graph.settle(node)).some(Boolean)) fetchEdges();
    if (changes.unsure) void stream.look();
    if ([...changes.nodes].some((key) => state?.nodes.get(key)?.type === "agent")) fetchUsage();
    refresh();
    fresh();
  },
  status(status, code) {
    byId("pt-connection").textContent = say(status);
    byId("pt-connection").dataset.state = status;
    failure = status === "refused" ? say(`refused_${code}`) : "";
    if (status !== "live") trouble(failure);
    if (!failure) void tried(draw);
  },
});

const fetchEdges = throttled(() => void tried(async () => graph.picture && graph.showEdges((await ask("edges/")).states)), 700);
const fetchTries = throttled(() => void tried(async () => {
  const tries = await ask("tries/");
  if (state) mergeTries(state, tries);
  refresh();
}), 2000);
const fetchUsage = throttled(() => void tried(async () => (byId("pt-usage").textContent = (await ask("usage/")).told)), 2000);
const fresh = throttled(() => {
  if (feeds[tab]) void tried(() => feeds[tab].fresh());
}, 400);

// --- The views.

const isDown = () => settings.isDown ?? isNarrow.matches;
const graph = new Graph(byId("pt-canvas"), { open: (key) => inspectNode(key), unfollow: () => follow(false), isDown });
const timeline = new Timeline(byId("pt-timeline"), { open: (key) => inspectNode(key) });
const table = new Table(byId("pt-table"));
const fetchLog = (/** @type {any} */ parameters) => ask("log/", { ...parameters, ...logFilter() });
const log = new Feed(byId("pt-log"), { fetch: fetchLog, row: logRow, follows: () => byId("pt-log-follow").checked });
const events = new Feed(byId("pt-events"), { fetch: (parameters) => ask("log/", parameters), row: eventRow, follows: () => true });

const feeds = /** @type {Record<string, Feed>} */ ({ log, events });
const views = /** @type {Record<string, { update(state: import("./state.js").State, keys: Iterable<string>): void }>} */ ({ graph, table, timeline });

const FILTERS = ["level", "node", "attempt", "search"];
const logFilter = () => Object.fromEntries(FILTERS.map((name) => [name, byId(`pt-log-${name}`).value.trim()]));

let frame = 0;
/** Show what has changed with the next frame, however often it changed. */
function refresh() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    if (!state) return;
    summarise();
    update(new Set([...changed, ...told]));
    const node = state.nodes.get(inspected);
    // Where only its bar moves, nobody who reads the rest, or is in it by keyboard, is thrown out.
    if (changed.has(inspected)) reinspect();
    if (node && told.has(inspected)) tell(node);
    for (const shownNow of [changed, told]) shownNow.clear();
    announce();
  });
}

/** Only the view that is seen; another one is brought up to date when it is chosen. @param {Iterable<string>} keys */
function update(keys) {
  if (state && (tab !== "graph" || graph.picture)) views[tab]?.update(state, keys);
}

const summarise = throttled(() => {
  if (!state) return;
  const { execution } = state;
  if (byId("pt-state").dataset.status !== execution.status) {
    byId("pt-state").replaceChildren(mark(execution.status, pictureOf(execution, execution.status)));
    byId("pt-state").dataset.status = execution.status;
  }
  byId("pt-reason").textContent = state.isCancelling ? say("cancelling") : execution.reason ? word("reason", execution.reason) : "";
  const counts = countsOf(state);
  for (const [status, { item, number }] of counters) {
    item.hidden = !counts[status];
    if (number.textContent !== String(counts[status])) number.textContent = String(counts[status] ?? 0);
  }
  const { error } = execution;
  byId("pt-error").hidden = !error;
  if (error) {
    const link = error.node && h("a", { href: `#node=${error.node}` }, error.node);
    byId("pt-error").replaceChildren(...[icon("failed"), " ", h("span", {}, error.message), " ", link].filter(Boolean));
  }
  const hidden = { "pt-cancel": isOver(state), "pt-rerun": !isOver(state), "pt-from-failed": execution.status === "completed" };
  for (const [id, isHidden] of Object.entries(hidden)) byId(id)?.toggleAttribute("hidden", isHidden);
  tick();
}, 200);

/** The counts by state. @type {Map<string, {item: any, number: any}>} */
const counters = new Map(STATES.map((status) => {
  const number = h("b");
  const button = h("button", { type: "button", click: () => showState(status) }, mark(status), " ", number);
  return [status, { item: h("li", { hidden: "" }, button), number }];
}));

const announce = throttled(() => {
  if (!state) return;
  const counts = countsOf(state);
  const done = [...TERMINAL].reduce((sum, status) => sum + (counts[status] ?? 0), 0);
  const progress = say("progress", { done, total: state.nodes.size, failed: counts.failed ?? 0 });
  byId("pt-announce").textContent = `${say("now", { status: word("status", state.execution.status) })} ${progress}`;
}, 5000);

const tick = () => state && (byId("pt-elapsed").textContent = duration(lasted(state.execution, Date.now())));

/** @param {string} text */
function trouble(text) {
  byId("pt-trouble").textContent = text;
  byId("pt-trouble").hidden = !text;
}

/** @param {string} status */
function showState(status) {
  byId("pt-table-status").value = status;
  table.arrange();
  choose("table");
}

// --- One node.

/** @param {string} key */
function inspectNode(key) {
  inspected = key;
  remember();
  reinspect();
}

const reinspect = throttled(() => void tried(async () => {
  const key = inspected;
  if (!key) return;
  const node = await ask(`node/${encodeURIComponent(key)}/`);
  if (key !== inspected) return;
  const [panel, standing] = [byId("pt-inspector"), state?.nodes.get(key)];
  const isNew = panel.hidden || panel.dataset.key !== key;
  if (isNew) panel.replaceChildren();
  renew(panel, inspect(node, { close, log: showLog, graph: (at) => (choose("graph"), graph.select(at)) }));
  panel.hidden = false;
  panel.dataset.key = key;
  if (standing) mergeText(standing, node.text), tell(standing);
  if (isNew) panel.focus({ preventScroll: !isNarrow.matches });
  graph.select(key, false);
}), 400);

function close() {
  byId("pt-inspector").hidden = true;
  inspected = "";
  remember();
  if (tab === "graph") graph.select(graph.current);
}

/** @param {string} key */
function showLog(key) {
  byId("pt-log-node").value = key;
  choose("log");
  void tried(() => log.load());
}

function nextFailure() {
  const failed = [...(state?.nodes.values() ?? [])].filter((node) => shown(node) === "failed").map((node) => node.key);
  if (!failed.length) return trouble(say("no_failure"));
  const key = failed[(failed.indexOf(inspected || graph.current) + 1) % failed.length];
  if (tab === "graph") graph.select(key);
  inspectNode(key);
}

// --- Tabs, settings, the address.

/** @param {string} name */
function choose(name) {
  tab = name;
  for (const other of TABS) {
    byId(`panel-${other}`).hidden = other !== tab;
    byId(`tab-${other}`).setAttribute("aria-selected", String(other === tab));
    byId(`tab-${other}`).tabIndex = other === tab ? 0 : -1;
  }
  keep(isNarrow.matches ? "narrowTab" : "tab", tab);
  remember();
  update(state?.nodes.keys() ?? []);
  feeds[tab]?.scroll();
  fresh();
  if (tab === "data") void tried(showData);
}

async function showData() {
  const data = await ask("data/");
  byId("pt-data").replaceChildren(...["input", "output", "error"].filter((part) => part !== "error" || data.error).flatMap((part) =>
    [h("h2", {}, say(part)), tree(data[part], part === "input" ? part : "")]));
}

/** The address names what is seen. */
function remember() {
  const address = `#${tab}${inspected ? `&node=${inspected}` : ""}`;
  if (location.hash !== address) history.replaceState(null, "", address);
}

/** Show what an address names: `#log`, `#log=12`, `#node=prices`, `#table&node=prices`. @param {string} [hash] */
function obey(hash = location.hash) {
  const parts = new Map(hash.slice(1).split("&").map((part) => /** @type {[string, string]} */ ([...part.split("="), ""])));
  const named = TABS.find((name) => parts.has(name));
  if (named) choose(named);
  const seq = Number(parts.get("log"));
  if (seq) {
    byId("pt-log-follow").checked = false;
    void tried(() => log.load(seq));
  }
  if (parts.get("node")) inspectNode(decodeURIComponent(parts.get("node") ?? ""));
}

/** @param {boolean} on */
function follow(on) {
  graph.following = on;
  byId("pt-follow").checked = on;
  if (on) graph.follow();
}

function turn() {
  if (!graph.picture || !state) return;
  keep("isDown", !graph.isDown);
  graph.show(graph.picture, state);
  byId("pt-turn").setAttribute("aria-pressed", String(graph.isDown));
}

// --- What people do.

/** @param {string} id @param {string} event @param {(event: any) => void} action */
const on = (id, event, action) => byId(id)?.addEventListener(event, action);

function listen() {
  TABS.forEach((name, index) => {
    on(`tab-${name}`, "click", () => choose(name));
    on(`tab-${name}`, "keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[/** @type {string} */ (event.key)];
      if (!by) return;
      const next = TABS[(index + by + TABS.length) % TABS.length];
      choose(next);
      byId(`tab-${next}`).focus();
    });
    byId(`panel-${name}`).setAttribute("role", "tabpanel");
  });
  on("pt-follow", "change", (event) => follow(event.target.checked));
  on("pt-zoom-in", "click", () => graph.zoom(1.25));
  on("pt-zoom-out", "click", () => graph.zoom(0.8));
  on("pt-fit", "click", () => graph.fit());
  on("pt-turn", "click", turn);
  on("pt-help", "click", () => byId("pt-shortcuts").showModal());
  on("pt-next-failure", "click", nextFailure);
  on("pt-find", "change", (event) => {
    const key = event.target.value.trim();
    if (!key) return;
    const node = [...(state?.nodes.values() ?? [])].find((node) => node.key === key || node.name === key);
    trouble(node ? "" : say("not_found"));
    if (node) graph.select(node.key);
  });
  on("pt-timeline-order", "change", (event) => {
    keep("order", (timeline.order = event.target.value));
    if (state) timeline.update(state);
  });
  on("pt-widen", "click", () => timeline.zoom(2));
  on("pt-narrow", "click", () => timeline.zoom(0.5));
  for (const name of FILTERS) on(`pt-log-${name}`, "change", () => void tried(() => log.load()));
  on("pt-log-level", "change", (event) => keep("level", event.target.value));
  on("pt-log-follow", "change", () => log.scroll());
  byId("pt-cancel")?.querySelector("form").addEventListener("submit", cancel);
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", () => obey());
}

/** @param {any} event */
function cancel(event) {
  event.preventDefault();
  void tried(async () => {
    const sentence = await send(event.target);
    byId("pt-cancel").open = false;
    await stream.look();
    // It may have ended already, which says more.
    failure = state && isOver(state) ? "" : sentence;
    trouble(failure);
  });
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.key === "Escape" && inspected && !byId("pt-shortcuts").open) return close();
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, select, textarea, dialog")) return;
  const action = /** @type {Record<string, () => void>} */ ({
    "/": () => (tab === "table" ? byId("pt-table-find") : (choose("graph"), byId("pt-find"))).focus(),
    "f": nextFailure,
    "?": () => byId("pt-shortcuts").showModal(),
    ...Object.fromEntries(TABS.map((name, index) => [String(index + 1), () => choose(name)])),
  })[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** Fetch the picture and show it, once; where that failed, it is tried again when the server is heard again. */
async function draw() {
  const [picture] = graph.picture ? [null] : await Promise.all([ask("graph/"), loadSymbols()]);
  if (!picture || graph.picture || !state) return;
  byId("pt-keys").append(...[...state.nodes.keys()].map((key) => h("option", { value: key })));
  if (!picture.nodes.length && picture.count) byId("pt-canvas").textContent = say("too_many", picture);
  else graph.show(picture, state);
  byId("pt-turn").setAttribute("aria-pressed", String(graph.isDown));
}

async function begin() {
  byId("pt-counts").replaceChildren(...[...counters.values()].map(({ item }) => item));
  byId("pt-tabs").hidden = byId("pt-log-tools").hidden = false;
  root.classList.add("pt-scripted");
  byId("pt-timeline-order").value = timeline.order = settings.order ?? "start";
  byId("pt-log-level").value = settings.level ?? "debug";
  listen();
  const wanted = location.hash;
  choose((isNarrow.matches ? settings.narrowTab : settings.tab) ?? (isNarrow.matches ? "table" : "graph"));
  for (const feed of Object.values(feeds)) void tried(() => feed.load());
  await stream.start();
  await tried(draw);
  if (wanted) obey(wanted);
  setInterval(() => {
    if (!state || isOver(state)) return;
    tick();
    if (tab === "timeline") timeline.draw();
  }, 1000);
}

void begin();
