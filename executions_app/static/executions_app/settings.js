// What whoever looks chose, kept in the browser for the next execution.

const KEPT = "pastetrader.execution";

/** @type {Record<string, any>} */
export const settings = read();

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {string} name @param {any} value */
export function keep(name, value) {
  settings[name] = value;
  try {
    localStorage.setItem(KEPT, JSON.stringify(settings));
  } catch {
    // A browser that keeps nothing shows the page all the same.
  }
}
