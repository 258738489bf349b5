import assert from "node:assert/strict";
import { test } from "node:test";

import { ASKED_AGAIN, ENDED, type Event, headline, IDLE, next, type Run, remembered, UNKNOWN } from "../src/run.ts";

const STARTED = { channel: "room", taskId: "t", builderToken: "b" };

function after(...events: Event[]): Run {
  return events.reduce(next, IDLE);
}

function queried(status: number): Event {
  return { kind: "queried", status, notice: `explained ${status}.` };
}

const RUNNING: Event[] = [
  { kind: "start" },
  { kind: "started", started: STARTED },
  { kind: "connection", connection: "live" },
];

test("a start and a stop", () => {
  assert.equal(after({ kind: "start" }).phase, "starting");
  assert.deepEqual(after(...RUNNING), { ...IDLE, phase: "running", started: STARTED, connection: "live" });
  assert.equal(after(...RUNNING, { kind: "stop" }).phase, "stopping");
  assert.deepEqual(after(...RUNNING, { kind: "stop" }, { kind: "stopped" }), IDLE);
});

test("a start that fails leaves nothing to stop, and says why", () => {
  assert.deepEqual(after({ kind: "start" }, { kind: "failed", notice: "why" }), { ...IDLE, notice: "why" });
});

test("a stop that fails can be tried again", () => {
  const run = after(...RUNNING, { kind: "stop" }, { kind: "failed", notice: "why" });
  assert.deepEqual([run.phase, run.started, run.notice], ["running", STARTED, "why"]);
});

test("what is billed is never called stopped", () => {
  assert.equal(headline(after()), "Stopped");
  for (const connection of ["disconnected", "connecting", "live", "reconnecting"] as const) {
    const run = after(...RUNNING, { kind: "connection", connection });
    assert.notEqual(headline(run), "Stopped");
    assert.notEqual(headline(next(run, { kind: "stop" })), "Stopped");
  }
});

test("a query tells of the end, of another key, and of why it is not answered", () => {
  assert.deepEqual(after(...RUNNING, queried(404)), { ...IDLE, notice: ENDED });
  assert.deepEqual(after(...RUNNING, queried(403)), { ...IDLE, notice: UNKNOWN });
  for (const status of [0, 401, 429, 500, 502]) {
    const run = after(...RUNNING, queried(status));
    assert.deepEqual([run.phase, run.connection, run.notice], ["running", "live", ""]);
    assert.equal(run.unanswered, `explained ${status}. ${ASKED_AGAIN}`);
    assert.equal(next(run, queried(200)).unanswered, "");
    assert.equal(next(run, { kind: "stop" }).unanswered, "");
  }
});

test("a query leaves what others have said alone", () => {
  for (const status of [200, 0]) {
    assert.equal(after(...RUNNING, { kind: "problem", notice: "why" }, queried(status)).notice, "why");
  }
});

test("what a source has said is over once it is live again, and what the gateway has is not", () => {
  const connection = (state: Run["connection"]): Event => ({ kind: "connection", connection: state });
  const problem: Event = { kind: "problem", notice: "why" };
  assert.equal(after(...RUNNING, connection("reconnecting"), problem, connection("live")).notice, "");
  assert.equal(after(...RUNNING, problem, connection("live")).notice, "why");
  assert.notEqual(after(...RUNNING, queried(0), connection("reconnecting"), connection("live")).unanswered, "");
});

test("an answer that is late for a stop changes nothing", () => {
  const stopping = after(...RUNNING, { kind: "stop" });
  assert.equal(next(stopping, queried(404)), stopping);
});

test("what a reload finds is used only whole", () => {
  assert.deepEqual(remembered(JSON.stringify(STARTED)), STARTED);
  for (const text of [null, "", "{", "null", "7", "{}", '{"channel": "room", "taskId": 1, "builderToken": "b"}']) {
    assert.equal(remembered(text), null);
  }
});
