// What is asked of the server, and what of it is no use to ask again.

import { byId } from "./dom.js";
import { parse } from "./numbers.js";
import { Refused } from "./stream.js";

const { base, socket } = byId("pt-execution").dataset;

/** @param {string} path below the execution's page @param {Record<string, any>} [parameters] those without a value are left out */
export async function ask(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null);
  const query = given.length ? `?${new URLSearchParams(given)}` : "";
  return parse(await (await answered(fetch(`${base}${path}${query}`, { headers: { Accept: "application/json" } }))).text());
}

/** Send a form and bring back the sentence of the server. @param {HTMLFormElement} form @returns {Promise<string>} */
export async function send(form) {
  const options = { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } };
  return (await (await answered(fetch(form.action, options))).json()).message;
}

/** @param {Promise<Response>} request */
async function answered(request) {
  const response = await request;
  // A login page is where others are sent.
  if (response.redirected || response.status === 401) throw new Refused(4401);
  if (response.status === 403 || response.status === 404) throw new Refused(4000 + response.status);
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
  return response;
}

/** @param {number | null} after */
export function connect(after) {
  const address = new URL(socket, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (after !== null) address.searchParams.set("after", String(after));
  return new WebSocket(address);
}
