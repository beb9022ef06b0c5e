// Where an execution stands: a snapshot, and the events since. All views read this, none keeps a truth of its own.

/**
 * @typedef {{number: number, outcome: string, started_at: string, ended_at: string | null}} Attempt
 * @typedef {{code: string, message: string, type: string, node: string | null}} Failure
 * @typedef {{key: string, name: string, type: string, level: number, status: string, reason: string | null,
 *   retry_count: number, error: Failure | null, details: any, started_at: string | null, ended_at: string | null,
 *   due_at?: string | null, attempts?: Attempt[], progress?: {fraction: number | null, text: string} | null, pieces?: Piece[]}} NodeState
 * @typedef {{seq: number, call: number, text: string, isAll?: boolean}} Piece of the text that a node writes, up to the
 *   entry `seq`; `isAll` where nothing that came before is wanted
 * @typedef {{seq: number, event: string, node: string | null, at: string, data: any, message?: string}} Entry
 * @typedef {{seq: number, execution: any}} Snapshot
 * @typedef {{seq: number, execution: any, nodes: Map<string, NodeState>, isCancelling: boolean}} State
 * @typedef {{nodes: Set<string>, told: Set<string>, unsure: boolean}} Changes
 */

export const TERMINAL = new Set(["completed", "failed", "skipped", "cancelled"]);
export const STATES = ["running", "retrying", "failed", "completed", "skipped", "cancelled", "pending"];
// Of a text its end is kept, so many characters; so many are in a line of it.
const MOST = 65_536;
const LINE = 80;

/**
 * @param {Snapshot} snapshot
 * @param {State | null} [before] keeps what no snapshot has: the attempts that were seen
 * @returns {State}
 */
export function stateOf(snapshot, before = null) {
  const { nodes, ...execution } = snapshot.execution;
  const known = /** @type {NodeState[]} */ (nodes).map((node) => {
    const earlier = before?.nodes.get(node.key);
    return /** @type {const} */ ([node.key, { ...node, attempts: earlier?.attempts, due_at: earlier?.due_at, pieces: earlier?.pieces }]);
  });
  const isCancelling = !execution.ended_at && (before?.isCancelling ?? false);
  return { seq: snapshot.seq, execution, nodes: new Map(known), isCancelling };
}

/**
 * Apply events in their order; those that the state has already change nothing.
 * @param {State} state
 * @param {Entry[]} entries
 * @returns {Changes} `unsure`: only a new snapshot tells where the execution stands now; `nodes`: those of which there
 *   is more to know; `told`: those that only said how far they are with their work, or wrote
 */
export function apply(state, entries) {
  /** @type {Changes} */
  const changes = { nodes: new Set(), told: new Set(), unsure: false };
  for (const entry of entries) {
    if (entry.seq <= state.seq) continue;
    state.seq = entry.seq;
    const [subject, word] = entry.event.split(".");
    if (subject === "execution") {
      changes.unsure = applyToExecution(state, word, entry) || changes.unsure;
    } else if (entry.node !== null) {
      const node = state.nodes.get(entry.node);
      if (node && applyToNode(node, word, entry)) (word || entry.data?.call ? changes.nodes : changes.told).add(node.key);
    }
  }
  return changes;
}

/** @param {State} state @param {string} word @param {Entry} entry @returns {boolean} whether we are unsure now */
function applyToExecution(state, word, entry) {
  const { execution } = state;
  if (word === "running") {
    execution.status = "running";
    execution.started_at ??= entry.at;
  } else if (word === "cancel_requested") {
    state.isCancelling = true;
  } else if (word === "recovered") {
    // Nodes that were at work wait again; which of them, is on record.
    return true;
  } else if (TERMINAL.has(word)) {
    const { reason = null, error = null } = entry.data ?? {};
    Object.assign(execution, { status: word, reason, error, ended_at: entry.at });
    state.isCancelling = false;
    // Its output comes with a snapshot only.
    return true;
  }
  return false;
}

/** @param {NodeState} node @param {string} word @param {Entry} entry @returns {boolean} whether it changed */
function applyToNode(node, word, entry) {
  const data = entry.data ?? {};
  // A snapshot may be ahead of its number.
  if (TERMINAL.has(node.status)) return false;
  if (word === "running") {
    node.status = "running";
    node.started_at ??= entry.at;
    node.due_at = node.progress = null;
    node.pieces = [];
    (node.attempts ??= []).push({ number: data.attempt, outcome: "started", started_at: entry.at, ended_at: null });
  } else if (word === "retrying") {
    endAttempt(node, "failed", entry.at);
    Object.assign(node, { status: "pending", retry_count: data.retry_count, error: data.error });
    node.due_at = new Date(Date.parse(entry.at) + Number(data.delay_ms)).toISOString();
  } else if (TERMINAL.has(word)) {
    endAttempt(node, word === "completed" ? "succeeded" : word, entry.at);
    const { reason = null, error = null, retry_count = node.retry_count } = data;
    Object.assign(node, { status: word, reason, error, retry_count, due_at: null, ended_at: entry.at });
    if (data.cause) node.details = { ...node.details, cause: data.cause };
  } else if (word === undefined && data.progress >= 0 && data.progress <= 1) {
    node.progress = { fraction: Number(data.progress), text: entry.message ?? "" };
  } else if (word === undefined && typeof data.text?.delta === "string") {
    write(node, { seq: entry.seq, call: data.text.call, text: data.text.delta });
  } else {
    return word === undefined && Boolean(data.call);
  }
  return true;
}

/** @param {NodeState} node @param {Piece} piece what it wrote, which goes on from what it has */
function write(node, piece) {
  const pieces = (node.pieces ??= []);
  const last = pieces.at(-1);
  if (last && last.seq >= piece.seq) return;
  const line = node.progress?.fraction === null && (!last || last.call === piece.call) ? node.progress.text : "";
  node.progress = { fraction: null, text: newestLine(line + piece.text) };
  pieces.push(piece);
  if (pieces.reduce((sum, { text }) => sum + text.length, 0) > 2 * MOST) node.pieces = [{ ...piece, text: textOf(node), isAll: true }];
}

/** The last line of a text that says something, its end where it is long; what follows stays, for more to come. @param {string} text */
export const newestLine = (text) => /\S[^\n]*\s*$/.exec(text.slice(-LINE))?.[0] ?? "";

/** What the server has of a node's text; what was heard since goes on from there. @param {NodeState} node @param {Piece | null} text */
export function mergeText(node, text) {
  const own = node.pieces ?? [];
  if (own[0]?.isAll && own[0].seq > (text?.seq ?? 0)) return;
  node.pieces = [...(text ? [text] : []), ...own.filter((piece) => piece.seq > (text?.seq ?? 0))];
}

/** What a node wrote in its latest attempt, its end; each call's is a paragraph. @param {NodeState} node */
export const textOf = ({ pieces = [] }) => pieces.map(({ call, text }, index) =>
  (pieces[index - 1]?.text && pieces[index - 1].call !== call ? `\n\n${text}` : text)).join("").slice(-MOST);

/** @param {NodeState} node @param {string} outcome @param {string} at */
function endAttempt(node, outcome, at) {
  const last = node.attempts?.at(-1);
  if (last && !last.ended_at) Object.assign(last, { outcome, ended_at: at });
}

/**
 * What the server knows of earlier attempts; where events told more meanwhile, theirs is the later word.
 * @param {State} state
 * @param {{seq: number, attempts: Record<string, Attempt[]>}} tries
 */
export function mergeTries(state, tries) {
  for (const [key, attempts] of Object.entries(tries.attempts)) {
    const node = state.nodes.get(key);
    if (!node) continue;
    const known = new Map(attempts.map((attempt) => [attempt.number, attempt]));
    for (const own of node.attempts ?? []) if (own.ended_at || !known.has(own.number)) known.set(own.number, own);
    node.attempts = [...known.values()].sort((a, b) => a.number - b.number);
  }
}

/** All tries of a node; of one that was tried once, its own times are those of its attempt. @param {NodeState} node */
export function attemptsOf(node) {
  if (node.attempts?.length) return node.attempts;
  if (!node.started_at) return [];
  const outcome = node.status === "completed" ? "succeeded" : TERMINAL.has(node.status) ? node.status : "started";
  return [{ number: 1, outcome, started_at: node.started_at, ended_at: node.ended_at }];
}

/** The state under which a node is shown: one that waits for its next attempt is retrying. @param {NodeState} node */
export function shown(node) {
  return node.status === "pending" && node.retry_count > 0 && node.started_at ? "retrying" : node.status;
}

/** @param {State} state @returns {Record<string, number>} */
export function countsOf(state) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const node of state.nodes.values()) counts[shown(node)] = (counts[shown(node)] ?? 0) + 1;
  return counts;
}

/**
 * Milliseconds from start to end, or until now; null for what never started.
 * @param {{started_at: string | null, ended_at: string | null}} span
 * @param {number} now
 */
export function lasted(span, now) {
  if (!span.started_at) return null;
  return Math.max(0, (span.ended_at ? exactly(span.ended_at) : now) - exactly(span.started_at));
}

/** A time of the server in milliseconds, with its microseconds, which `Date` would cut off. @param {string} text */
export function exactly(text) {
  const fraction = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? "";
  return Date.parse(text) + Number(fraction.padEnd(3, "0")) / 1000;
}

/** @param {State} state */
export const isOver = (state) => TERMINAL.has(state.execution.status);
