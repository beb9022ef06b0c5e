// The socket's stream: gapless, whatever breaks. Sockets and timers are played.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Refused, Stream } from "../../executions_app/static/executions_app/stream.js";

/** Everything that a stream touches, and what it did. */
class World {
  constructor() {
    this.sockets = [];
    this.timers = [];
    this.seen = [];
    this.status = "";
    this.code = undefined;
    this.answers = [{ seq: 3, execution: { status: "running" } }];
    this.stream = new Stream({
      connect: (after) => {
        const socket = { after, sent: [], closed: false, send: (text) => socket.sent.push(JSON.parse(text)), close: () => (socket.closed = true) };
        this.sockets.push(socket);
        return socket;
      },
      look: async () => {
        const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
        if (answer instanceof Error) throw answer;
        return answer;
      },
      snapshot: (snapshot) => this.seen.push(`snapshot ${snapshot.seq}`),
      events: (items) => this.seen.push(...items.map((item) => item.seq)),
      status: (status, code) => Object.assign(this, { status, code }),
      later: (action, ms) => {
        const timer = { action, ms };
        this.timers.push(timer);
        return timer;
      },
      never: (timer) => (this.timers = this.timers.filter((other) => other !== timer)),
    });
  }

  get socket() {
    return this.sockets.at(-1);
  }

  say(message) {
    this.socket.onmessage({ data: JSON.stringify({ v: 1, ...message }) });
  }

  events(...seqs) {
    this.say({ type: "events", items: seqs.map((seq) => ({ seq })) });
  }

  /** Let the timer run that waits this long, or up to so long. */
  async pass(least, most = least) {
    const timer = this.timers.find(({ ms }) => ms >= least && ms <= most);
    assert.ok(timer, `nothing waits ${least} to ${most} ms, only ${this.timers.map(({ ms }) => ms)}`);
    this.timers = this.timers.filter((other) => other !== timer);
    await timer.action();
  }
}

let world;
beforeEach(async () => {
  world = new World();
  await world.stream.start();
});

test("it shows a snapshot at once and listens for what follows it", () => {
  assert.deepEqual(world.seen, ["snapshot 3"]);
  assert.equal(world.socket.after, 3);
  world.say({ type: "hello", heartbeat_s: 20 });
  assert.equal(world.status, "live");
  world.events(4, 5);
  assert.deepEqual(world.seen, ["snapshot 3", 4, 5]);
});

test("what it has already it does not hand on again", () => {
  world.events(4, 5);
  world.events(4, 5, 6);
  world.events(5);
  assert.deepEqual(world.seen, ["snapshot 3", 4, 5, 6]);
});

test("after a gap it asks for what is missing, once, and hands nothing on out of order", () => {
  world.events(6, 7);
  world.events(8);
  assert.deepEqual(world.socket.sent, [{ type: "resume", after: 3 }]);
  world.events(4, 5, 6, 7, 8);
  assert.deepEqual(world.seen, ["snapshot 3", 4, 5, 6, 7, 8]);
  world.events(10);
  assert.equal(world.socket.sent.length, 2);
});

test("a resume that nobody answers is sent again when the gap shows again later", async () => {
  world.events(6);
  await world.pass(5000);
  world.events(7);
  assert.equal(world.socket.sent.length, 2);
});

test("a heartbeat tells of lost events", () => {
  world.say({ type: "heartbeat", seq: 3 });
  assert.deepEqual(world.socket.sent, []);
  world.say({ type: "heartbeat", seq: 4 });
  assert.deepEqual(world.socket.sent, [{ type: "resume", after: 3 }]);
});

test("it resumes where the server asks for it", () => {
  world.say({ type: "resync_required" });
  assert.deepEqual(world.socket.sent, [{ type: "resume", after: 3 }]);
  world.say({ type: "snapshot", seq: 900, execution: { status: "running" } });
  world.events(901);
  assert.deepEqual(world.seen, ["snapshot 3", "snapshot 900", 901]);
});

test("a snapshot that is older than what is known is of no use", () => {
  world.events(4, 5);
  world.say({ type: "snapshot", seq: 4, execution: { status: "running" } });
  assert.deepEqual(world.seen, ["snapshot 3", 4, 5]);
});

test("at the end it stops, but not before it has everything", () => {
  world.say({ type: "end", seq: 5, status: "completed" });
  assert.deepEqual(world.socket.sent, [{ type: "resume", after: 3 }]);
  world.events(4, 5);
  world.say({ type: "end", seq: 5, status: "completed" });
  assert.equal(world.status, "ended");
  assert.equal(world.stream.socket, null);
  assert.deepEqual(world.timers, []);
});

test("of an execution that has ended nobody is asked any more", async () => {
  world = new World();
  world.answers = [{ seq: 9, execution: { status: "failed" } }];
  await world.stream.start();
  assert.deepEqual(world.seen, ["snapshot 9"]);
  assert.equal(world.status, "ended");
  assert.deepEqual(world.sockets, []);
});

test("a lost socket comes back after what is known, later and later", async () => {
  world.events(4);
  world.socket.onclose({ code: 1006 });
  await world.pass(250, 500);
  assert.equal(world.socket.after, 4);
  world.socket.onclose({ code: 1006 });
  await world.pass(500, 1000);
  world.socket.onclose({ code: 4408 });
  await world.pass(1000, 1999);
  assert.equal(world.sockets.length, 4);
});

test("without a socket it looks every two seconds, and stops looking when it has one", async () => {
  world.socket.onclose({ code: 1006 });
  await world.pass(250, 500);
  world.socket.onclose({ code: 1006 });
  assert.equal(world.status, "polling");
  world.answers = [{ seq: 8, execution: { status: "running" } }];
  await world.pass(2000);
  assert.deepEqual(world.seen, ["snapshot 3", "snapshot 8"]);
  await world.pass(500, 1000);
  world.say({ type: "hello", heartbeat_s: 20 });
  assert.equal(world.status, "live");
  assert.ok(!world.timers.some(({ ms }) => ms === 2000));
});

test("it looks until the end where there is never a socket", async () => {
  world.socket.onclose({ code: 1006 });
  await world.pass(250, 500);
  world.socket.onclose({ code: 1006 });
  world.answers = [{ seq: 8, execution: { status: "completed" } }];
  await world.pass(2000);
  assert.equal(world.status, "ended");
  assert.deepEqual(world.timers, []);
});

for (const code of [4401, 4403, 4404]) {
  test(`after ${code} it gives up and says why`, () => {
    world.socket.onclose({ code });
    assert.deepEqual([world.status, world.code], ["refused", code]);
    assert.deepEqual(world.timers, []);
  });
}

test("it gives up where a look is refused", async () => {
  world = new World();
  world.answers = [new Refused(4401)];
  await world.stream.start();
  assert.deepEqual([world.status, world.code], ["refused", 4401]);
  assert.deepEqual(world.sockets, []);
});

test("a look that fails is no reason to give up", async () => {
  world = new World();
  world.answers = [new TypeError("no network")];
  await world.stream.start();
  assert.equal(world.sockets.length, 1);
  assert.equal(world.socket.after, null);
});

test("a server that is silent for too long counts as lost", async () => {
  world.say({ type: "hello", heartbeat_s: 4 });
  const { socket } = world;
  await world.pass(10_000);
  assert.ok(socket.closed);
  await world.pass(250, 500);
  assert.equal(world.sockets.length, 2);
  socket.onmessage({ data: '{"type":"events","items":[{"seq":4}]}' });
  assert.deepEqual(world.seen, ["snapshot 3"], "what a socket says that was given up is not heard");
});

test("after stop nothing happens any more", () => {
  const { socket } = world;
  world.stream.stop();
  socket.onclose({ code: 1000 });
  assert.deepEqual(world.timers, []);
});
