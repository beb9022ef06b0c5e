// JSON whose numbers keep all their digits.

/** A number that JavaScript's own would change: it is shown as it was written. */
export class Numeral {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  valueOf() {
    return Number(this.text);
  }
}

// A text in quotes, or a number outside of quotes.
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
// U+0000 is refused by the server in every text: what begins with it is one of these.
const MARK = "\u0000";

/**
 * The value of JSON text; a number that would not come back as it was written is a `Numeral`.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
  let kept = false;
  const marked = text.replace(TOKENS, (token) => {
    if (token[0] === '"' || String(Number(token)) === token) return token;
    kept = true;
    return `"\\u0000${token}"`;
  });
  if (!kept) return JSON.parse(text);
  return JSON.parse(marked, (_key, value) =>
    typeof value === "string" && value[0] === MARK ? new Numeral(value.slice(1)) : value,
  );
}

/**
 * JSON text for people, with the same digits.
 * @param {any} value
 * @param {string | null} [indent] null: all in one line
 * @returns {string}
 */
export function format(value, indent = "") {
  if (value instanceof Numeral) return value.text;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const deeper = indent === null ? null : `${indent}  `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const parts = Array.isArray(value)
    ? value.map((item) => format(item, deeper))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${format(item, deeper)}`);
  if (deeper === null || !parts.length) return open + parts.join(", ") + close;
  return `${open}\n${deeper}${parts.join(`,\n${deeper}`)}\n${indent}${close}`;
}
