// What whoever looks chose, kept in the browser for the next execution.

const KEPT = "pastetrader.execution";

/** @type {Record<string, any>} */
export const settings = possibly(() => JSON.parse(localStorage.getItem(KEPT) ?? "{}")) ?? {};

/** @param {string} name @param {any} value */
export function keep(name, value) {
  settings[name] = value;
  possibly(() => localStorage.setItem(KEPT, JSON.stringify(settings)));
}

/** A browser that keeps nothing shows the page all the same. @param {() => any} action */
function possibly(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
