// @ts-check
/**
 * The list of executions and the dashboard stay as the database has them while somebody looks at them.
 *
 * The socket says that something has happened; the mark of a row that is shown changes at once. What a row says
 * otherwise, and which rows there are, is asked of the server, at most once in PAUSE: its answer is the page's own
 * markup, so that nothing is worded, rounded or allowed twice. Rows do not move under the pointer: new ones are
 * offered. Without a socket the page stays what it was when it was loaded, and says so.
 */

/** @typedef {{execution: string, status: string, seq: number, event: string}} Item */

const SOCKET = "/ws/executions/";
// Milliseconds between two questions, and between two tries to connect, at first and at most.
const PAUSE = 1000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30000;
const BAR = 60;
// Close codes after which another try would end the same way.
const REFUSED = new Set([4401, 4403, 4404]);

/** Whatever is wrong with an answer: there will be another one. */
class Unanswered extends Error {}

/**
 * Call `act` at once, then at most once in PAUSE, and once more after the last call of a burst.
 * @param {() => Promise<void>} act
 * @returns {() => void}
 */
export function throttled(act) {
  let busy = false;
  let again = false;
  async function run() {
    busy = true;
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Unanswered || error instanceof TypeError)) throw error;
    } finally {
      setTimeout(() => {
        busy = false;
        if (again) {
          again = false;
          void run();
        }
      }, PAUSE);
    }
  }
  return () => {
    if (busy) again = true;
    else void run();
  };
}

/**
 * Milliseconds in the words of the server's `duration`.
 * @param {number} ms
 * @param {Record<string, string>} words
 */
export function duration(ms, words) {
  /** @param {string} form @param {Record<string, string | number>} values */
  const fill = (form, values) => form.replace(/%\((\w+)\)s/g, (_, name) => String(values[name]));
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return fill(words.seconds, { number: seconds });
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return fill(words.minutes, { minutes, seconds: String(seconds % 60).padStart(2, "0") });
  return fill(words.hours, { hours: Math.floor(minutes / 60), minutes: String(minutes % 60).padStart(2, "0") });
}

/**
 * The length of a duration's bar, as the server draws it: what is usual reaches the middle of BAR.
 * @param {number} ms
 * @param {number} usual
 */
export function barLength(ms, usual) {
  return Math.max(1, Math.min(BAR, Math.round((ms / usual) * (BAR / 2))));
}

/**
 * How long to wait before a try to connect: longer after each that failed, and never as long as others.
 * @param {number} failures
 * @param {number} chance from 0 to 1
 */
export function wait(failures, chance) {
  return Math.min(FIRST_WAIT * 2 ** failures, LONGEST_WAIT) * (0.5 + chance / 2);
}

/**
 * Hear of executions until the page is left.
 * @param {(items: Item[]) => void} hear
 * @param {(open: boolean) => void} tell is told whether anything can be heard
 */
function listen(hear, tell) {
  let failures = 0;
  function connect() {
    const url = new URL(SOCKET, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.addEventListener("message", (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "hello" || message.type === "events") {
        failures = 0;
        tell(true);
      }
      if (message.type === "events") hear(message.items);
      else if (message.type === "resync_required") hear([]);
    });
    socket.addEventListener("close", (event) => {
      tell(false);
      if (REFUSED.has(event.code)) return;
      setTimeout(connect, wait(failures, Math.random()));
      failures += 1;
    });
  }
  connect();
}

/**
 * The part of a page as it is now.
 * @param {string} url
 * @returns {Promise<Document>}
 */
async function ask(url) {
  const answer = await fetch(url, { headers: { "X-Live": "1" }, credentials: "same-origin" });
  // A redirect is the login page.
  if (!answer.ok || answer.redirected) throw new Unanswered();
  const part = new DOMParser().parseFromString(await answer.text(), "text/html");
  noteClocks(part);
  return part;
}

/** When it was that the server said how long something has been running. @type {WeakMap<Element, number>} */
const told = new WeakMap();

/** @param {ParentNode} inside @returns {HTMLElement[]} */
function noteClocks(inside) {
  const clocks = /** @type {HTMLElement[]} */ ([...inside.querySelectorAll("[data-elapsed]")]);
  for (const clock of clocks) {
    if (!told.has(clock)) told.set(clock, performance.now());
  }
  return clocks;
}

/** @param {ParentNode} inside @returns {Map<string, HTMLTableRowElement>} */
function rowsOf(inside) {
  const rows = new Map();
  for (const mark of inside.querySelectorAll("tr [data-execution]")) {
    rows.set(/** @type {HTMLElement} */ (mark).dataset.execution, mark.closest("tr"));
  }
  return rows;
}

/**
 * Put the cells that have changed in the place of those that are shown; what has the focus keeps it.
 * @param {HTMLTableRowElement} row
 * @param {HTMLTableRowElement} fresh
 */
function renew(row, fresh) {
  const cells = [...fresh.cells];
  [...row.cells].forEach((cell, number) => {
    const next = cells[number];
    if (!next || cell.classList.contains("action-checkbox") || cell.innerHTML === next.innerHTML) return;
    // Its time is counted here.
    if (cell.querySelector("[data-elapsed]") && next.querySelector("[data-elapsed]")) return;
    const focused = cell.contains(document.activeElement);
    cell.replaceWith(document.adoptNode(next));
    if (focused) next.querySelector("a")?.focus();
  });
}

/** @param {HTMLElement} list */
function keepList(list) {
  const offer = /** @type {HTMLElement} */ (list.querySelector(".pt-news"));
  const button = /** @type {HTMLButtonElement} */ (offer.querySelector("button"));
  const voice = /** @type {HTMLElement} */ (list.querySelector("#pt-told"));
  /** @type {Document | null} */
  let latest = null;

  /** @param {HTMLElement} element @param {number} count */
  const worded = (element, count) =>
    count === 1 ? element.dataset.one ?? "" : (element.dataset.many ?? "").replace("%s", String(count));

  const refresh = throttled(async () => {
    latest = await ask(location.href);
    const shown = rowsOf(list);
    let fresh = 0;
    for (const [id, row] of rowsOf(latest)) {
      const present = shown.get(id);
      if (present) renew(present, row);
      else fresh += 1;
    }
    if (!("first" in list.dataset)) return;
    if (fresh && offer.hidden) voice.textContent = worded(voice, fresh);
    offer.hidden = fresh === 0;
    button.textContent = worded(button, fresh);
  });

  button.addEventListener("click", () => {
    const body = list.querySelector("#result_list tbody");
    const next = latest?.querySelector("#result_list tbody");
    if (!body || !next) {
      location.reload();
      return;
    }
    const before = new Set(rowsOf(list).keys());
    const ticked = new Set([...body.querySelectorAll("input:checked")].map((box) => box.getAttribute("value")));
    body.replaceWith(document.adoptNode(next));
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (next.querySelectorAll("input.action-select"))) {
      box.checked = ticked.has(box.value);
      box.closest("tr")?.classList.toggle("selected", box.checked);
    }
    const pages = latest?.querySelector("#pt-pages");
    if (pages) document.querySelector("#pt-pages")?.replaceWith(document.adoptNode(pages));
    rebindActions(next);
    offer.hidden = true;
    voice.textContent = "";
    for (const [id, row] of rowsOf(next)) {
      if (!before.has(id)) row.classList.add("pt-changed");
    }
    setTimeout(() => next.querySelectorAll(".pt-changed").forEach((row) => row.classList.remove("pt-changed")), 1500);
    next.querySelector("a")?.focus();
  });

  /** @param {Item[]} items */
  function hear(items) {
    const shown = rowsOf(list);
    for (const item of items) {
      const mark = /** @type {HTMLElement | null | undefined} */ (
        shown.get(item.execution)?.querySelector("[data-execution]")
      );
      const form = /** @type {HTMLTemplateElement | null} */ (
        list.querySelector(`template[data-mark="${CSS.escape(item.status)}"]`)
      );
      if (mark && form && item.seq > Number(mark.dataset.seq)) {
        mark.dataset.seq = String(item.seq);
        mark.replaceChildren(form.content.cloneNode(true));
      }
    }
    refresh();
  }
  return { hear, refresh };
}

/**
 * The admin's own script counts the boxes that it found when the page was loaded: have it find the new ones.
 * @param {Element} body
 */
function rebindActions(body) {
  const boxes = body.querySelectorAll("input.action-select");
  const counter = /** @type {HTMLElement | null} */ (document.querySelector("span.action-counter"));
  const bind = /** @type {any} */ (window).Actions;
  if (!counter || typeof bind !== "function") return;
  counter.dataset.actionsIcnt = String(boxes.length);
  bind(boxes);
}

/** @param {HTMLElement} board */
function keepBoard(board) {
  const refresh = throttled(async () => {
    const latest = await ask(board.dataset.url ?? location.href);
    for (const part of board.querySelectorAll("[data-part]")) {
      const name = part.getAttribute("data-part") ?? "";
      const next = latest.querySelector(`[data-part="${CSS.escape(name)}"]`);
      if (!next || part.innerHTML === next.innerHTML) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
      part.replaceWith(document.adoptNode(next));
      if (focused) /** @type {HTMLElement | null} */ (next.querySelector(`[href="${CSS.escape(focused)}"]`))?.focus();
    }
  });
  return { hear: refresh, refresh };
}

/** Count the time of what runs. */
function tick() {
  const words = JSON.parse(document.getElementById("pt-words")?.textContent ?? "null");
  if (!words) return;
  noteClocks(document);
  setInterval(() => {
    for (const clock of noteClocks(document)) {
      const ms = Number(clock.dataset.elapsed) + performance.now() - (told.get(clock) ?? 0);
      clock.textContent = duration(ms, words);
      const bar = clock.parentElement?.querySelector(".pt-bar-took");
      if (bar && clock.dataset.usual) bar.setAttribute("width", String(barLength(ms, Number(clock.dataset.usual))));
    }
  }, 1000);
}

/** Empty fields say nothing: they need not stand in the URL. */
function tidyForms() {
  for (const form of /** @type {NodeListOf<HTMLFormElement>} */ (document.querySelectorAll("form.pt-filter"))) {
    form.addEventListener("formdata", (event) => {
      const empty = [...event.formData.keys()].filter((name) => event.formData.getAll(name).every((value) => !value));
      empty.forEach((name) => event.formData.delete(name));
    });
  }
}

function begin() {
  const kept = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("[data-live]")]).map((part) =>
    part.dataset.live === "rows" ? keepList(part) : keepBoard(part),
  );
  const state = /** @type {HTMLElement | null} */ (document.getElementById("pt-live"));
  let isOpen = false;
  listen(
    (items) => kept.forEach((part) => part.hear(items)),
    (open) => {
      // Whatever happened while nothing could be heard.
      if (open && !isOpen) kept.forEach((part) => part.refresh());
      isOpen = open;
      if (!state) return;
      state.hidden = false;
      state.textContent = (open ? state.dataset.on : state.dataset.off) ?? "";
      state.classList.toggle("pt-running", open);
      state.classList.toggle("pt-quiet", !open);
    },
  );
  tick();
  tidyForms();
}

if (typeof document !== "undefined") begin();
