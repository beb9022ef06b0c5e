// JSON whose numbers keep all their digits.

/** A number that JavaScript's own would change, as it was written. */
export class Numeral extends String {}

// Its types do not know yet what browsers do.
const { parse: read, rawJSON } = /** @type {any} */ (JSON);

/**
 * The value of JSON text; a number that would not come back as it was written is a `Numeral`.
 * @param {string} text
 * @returns {any}
 */
export const parse = (text) => read(text, (/** @type {string} */ _key, /** @type {any} */ value, /** @type {any} */ { source }) =>
  typeof value === "number" && String(value) !== source ? new Numeral(source) : value);

/** JSON text for people, with the same digits. @param {any} value @returns {string} */
export const format = (value) => JSON.stringify(value, (_key, item) => (item instanceof Numeral ? rawJSON(String(item)) : item), 2);

/** The same in one line. @param {any} value */
export const formatLine = (value) => format(value).replace(/\n\s*/g, " ");
