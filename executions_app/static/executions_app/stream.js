// The socket of an execution: a gapless stream out of one that may break, lag and lose. Where there is no socket at
// all, the server is asked every few seconds.

import { parse } from "./numbers.js";

/**
 * @typedef {import("./state.js").Snapshot} Snapshot
 * @typedef {import("./state.js").Entry} Entry
 * @typedef {{send(text: string): void, close(code?: number): void, onopen: any, onmessage: any, onclose: any}} Socket
 * @typedef {{
 *   connect(after: number | null): Socket,
 *   look(): Promise<Snapshot>,
 *   snapshot(snapshot: Snapshot): void,
 *   events(entries: Entry[]): void,
 *   status(word: "connecting" | "live" | "polling" | "ended" | "refused", code?: number): void,
 *   later?(action: () => void, ms: number): any,
 *   never?(timer: any): void,
 * }} Ports
 */

/** Raised by `look` where asking again is of no use. */
export class Refused extends Error {
  /** @param {number} code 4401, 4403 or 4404, as the socket would close */
  constructor(code) {
    super(`The server refused: ${code}.`);
    this.code = code;
  }
}

const FINAL = new Set([4401, 4403, 4404]);
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const POLL = 2_000;
// A server that has not said anything for so many of its heartbeats is gone.
const SILENT_BEATS = 2.5;
const RESUME_WAIT = 5_000;
const OVER = new Set(["completed", "failed", "cancelled"]);

export class Stream {
  /** @param {Ports} ports */
  constructor(ports) {
    this.ports = ports;
    this.later = ports.later ?? ((action, ms) => setTimeout(action, ms));
    this.never = ports.never ?? ((timer) => clearTimeout(timer));
    /** The number of the last event that was handed on. @type {number | null} */
    this.seq = null;
    /** @type {Socket | null} */
    this.socket = null;
    this.failures = 0;
    this.stopped = this.isLive = false;
    this.beat = 20;
    this.watch = this.poll = this.retry = this.resuming = /** @type {any} */ (null);
  }

  /** Ask once, so that there is something to see at once; then listen, unless all is over. */
  async start() {
    this.ports.status("connecting");
    await this.look();
    if (!this.stopped) this.open();
  }

  /** Nothing is handed on any more. */
  stop() {
    this.stopped = true;
    for (const timer of [this.watch, this.poll, this.retry, this.resuming]) this.never(timer);
    this.socket?.close();
    this.socket = null;
  }

  /** Fetch a snapshot now. */
  async look() {
    try {
      const snapshot = await this.ports.look();
      if (this.stopped) return;
      this.take(snapshot);
      if (OVER.has(snapshot.execution.status)) this.finish("ended");
    } catch (error) {
      if (error instanceof Refused) this.finish("refused", error.code);
      // Anything else passes: the socket, or the next look, may have more luck.
    }
  }

  open() {
    const socket = this.ports.connect(this.seq);
    this.socket = socket;
    this.listen();
    socket.onmessage = (/** @type {{data: string}} */ { data }) => this.socket === socket && this.receive(parse(data));
    socket.onclose = (/** @type {{code: number}} */ { code }) => this.socket === socket && this.lost(code);
  }

  /** @param {any} message */
  receive(message) {
    if (message.type === "hello") this.beat = message.heartbeat_s;
    this.listen();
    this.connected();
    const { type } = message;
    if (type === "snapshot") this.take(message);
    else if (type === "events") this.takeEvents(message.items);
    else if (type === "resync_required") this.resume();
    else if (type === "heartbeat" || type === "end") {
      if (this.seq === null || message.seq > this.seq) this.resume();
      else if (type === "end") this.finish("ended");
    }
  }

  /** @param {Snapshot} snapshot one that is behind what is known is of no use */
  take(snapshot) {
    if (this.seq !== null && snapshot.seq < this.seq) return;
    this.caughtUp();
    this.seq = snapshot.seq;
    this.ports.snapshot(snapshot);
  }

  /** @param {Entry[]} items */
  takeEvents(items) {
    const fresh = items.filter((entry) => this.seq !== null && entry.seq > this.seq);
    if (!fresh.length) return;
    if (fresh[0].seq !== /** @type {number} */ (this.seq) + 1) return this.resume();
    this.caughtUp();
    this.seq = fresh[fresh.length - 1].seq;
    this.ports.events(fresh);
  }

  /** Have the stream begin again after what is known; once, until it does or a while has passed. */
  resume() {
    if (this.resuming !== null) return;
    this.resuming = this.later(() => {
      this.resuming = null;
      if (this.seq === null) void this.look();
    }, RESUME_WAIT);
    this.socket?.send(JSON.stringify({ type: "resume", after: this.seq ?? 0 }));
  }

  caughtUp() {
    if (this.resuming !== null) this.never(this.resuming);
    this.resuming = null;
  }

  connected() {
    if (this.isLive) return;
    this.isLive = true;
    this.failures = 0;
    if (this.poll !== null) this.never(this.poll);
    this.poll = null;
    this.ports.status("live");
  }

  /** Wait for the next word; without one in time the socket counts as lost. */
  listen() {
    if (this.watch !== null) this.never(this.watch);
    this.watch = this.later(() => {
      this.socket?.close();
      this.lost(1006);
    }, this.beat * 1000 * SILENT_BEATS);
  }

  /** @param {number} code */
  lost(code) {
    this.socket = null;
    this.isLive = false;
    this.never(this.watch);
    this.watch = null;
    this.caughtUp();
    if (this.stopped) return;
    if (FINAL.has(code)) return this.finish("refused", code);
    // Half of it by chance: not all who watched a server come back at the same moment.
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.ports.status(this.failures > 1 ? "polling" : "connecting");
    this.retry = this.later(() => this.open(), wait);
    if (this.failures > 1 && this.poll === null) this.pollLater();
  }

  pollLater() {
    this.poll = this.later(async () => {
      await this.look();
      if (!this.stopped && this.poll !== null) this.pollLater();
    }, POLL);
  }

  /** @param {"ended" | "refused"} status @param {number} [code] */
  finish(status, code) {
    this.stop();
    this.ports.status(status, code);
  }
}
