import assert from "node:assert/strict";
import { test } from "node:test";

import { ENDED, type Event, IDLE, next, type Run, remembered, SILENT, UNKNOWN } from "../src/run.ts";

const STARTED = { channel: "room", taskId: "t", builderToken: "b" };

function after(...events: Event[]): Run {
  return events.reduce(next, IDLE);
}

const RUNNING: Event[] = [
  { kind: "start" },
  { kind: "started", started: STARTED },
  { kind: "connection", connection: "live" },
];

test("a start and a stop", () => {
  assert.equal(after({ kind: "start" }).phase, "starting");
  assert.deepEqual(after(...RUNNING), { phase: "running", started: STARTED, connection: "live", notice: "" });
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

test("a query tells of the end, of another key, and of a gateway that does not answer", () => {
  const queried = (status: number): Event => ({ kind: "queried", status });
  assert.deepEqual(after(...RUNNING, queried(404)), { ...IDLE, notice: ENDED });
  assert.deepEqual(after(...RUNNING, queried(403)), { ...IDLE, notice: UNKNOWN });
  for (const status of [0, 401, 429, 500, 502]) {
    const silent = after(...RUNNING, queried(status));
    assert.deepEqual([silent.phase, silent.connection, silent.notice], ["running", "live", SILENT]);
    assert.equal(next(silent, queried(200)).notice, "");
  }
});

test("a query's good answer leaves other notices alone", () => {
  const run = after(...RUNNING, { kind: "problem", notice: "why" }, { kind: "queried", status: 200 });
  assert.equal(run.notice, "why");
});

test("what a source has said is over once it is live again, and what the gateway has is not", () => {
  const connection = (state: Run["connection"]): Event => ({ kind: "connection", connection: state });
  const problem: Event = { kind: "problem", notice: "why" };
  assert.equal(after(...RUNNING, connection("reconnecting"), problem, connection("live")).notice, "");
  assert.equal(after(...RUNNING, problem, connection("live")).notice, "why");
  const silent: Event = { kind: "queried", status: 0 };
  assert.equal(after(...RUNNING, silent, connection("reconnecting"), connection("live")).notice, SILENT);
});

test("an answer that is late for a stop changes nothing", () => {
  const stopping = after(...RUNNING, { kind: "stop" });
  assert.equal(next(stopping, { kind: "queried", status: 404 }), stopping);
});

test("what a reload finds is used only whole", () => {
  assert.deepEqual(remembered(JSON.stringify(STARTED)), STARTED);
  for (const text of [null, "", "{", "null", "7", "{}", '{"channel": "room", "taskId": 1, "builderToken": "b"}']) {
    assert.equal(remembered(text), null);
  }
});
