// The text of a document beside its problems: numbers of lines, and a way from a problem to its line.
// Without this script the page does the same with fewer steps saved: every problem shows the text of its line.

/** @param {HTMLTextAreaElement} area */
function numbered(area) {
  const gutter = document.createElement("pre");
  gutter.className = "pt-gutter";
  gutter.setAttribute("aria-hidden", "true");
  const frame = document.createElement("div");
  frame.className = "pt-numbered";
  area.before(frame);
  frame.append(gutter, area);
  let shown = 0;

  function count() {
    const lines = area.value.split("\n").length;
    if (lines === shown) return;
    shown = lines;
    gutter.textContent = Array.from({ length: lines }, (_, line) => line + 1).join("\n");
    align();
  }

  function align() {
    gutter.style.setProperty("height", `${area.offsetHeight}px`);
    gutter.scrollTop = area.scrollTop;
  }

  area.addEventListener("input", count);
  area.addEventListener("scroll", align, { passive: true });
  new ResizeObserver(align).observe(area);
  count();
}

/**
 * Select a line and bring it into the middle.
 * @param {HTMLTextAreaElement} area
 * @param {number} line from 1
 */
function go(area, line) {
  const lines = area.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  const height = parseFloat(getComputedStyle(area).lineHeight);
  area.scrollTop = Math.max(0, (line - 1) * height - area.clientHeight / 2);
  area.scrollLeft = 0;
}

/**
 * Ask before what was typed is lost.
 * @param {HTMLTextAreaElement} area
 */
function kept(area) {
  let sent = false;
  area.form?.addEventListener("submit", () => { sent = true; });
  window.addEventListener("beforeunload", (event) => {
    if (!sent && area.value !== area.defaultValue) event.preventDefault();
  });
}

const area = document.querySelector("textarea.pt-code");
if (area instanceof HTMLTextAreaElement) {
  numbered(area);
  kept(area);
  for (const place of document.querySelectorAll("[data-line]")) {
    if (!(place instanceof HTMLElement)) continue;
    const line = Number(place.dataset.line);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = place.textContent;
    button.addEventListener("click", () => go(area, line));
    place.replaceChildren(button);
  }
}
