import assert from "node:assert/strict";
import { test } from "node:test";

import { pause } from "../src/poll.ts";

test("who looks hears of an end within ten seconds, who does not within a minute", () => {
  assert.deepEqual([pause(false, 0, 0), pause(true, 0, 0)], [10_000, 60_000]);
});

test("a gateway that is asked too much is asked less and less, but never given up", () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 100].map((refusals) => pause(false, refusals, 1)),
    [20_000, 40_000, 80_000, 160_000, 160_000, 160_000],
  );
});

test("nobody comes back before the gateway wants it", () => {
  assert.equal(pause(false, 1, 45), 45_000);
  assert.equal(pause(true, 0, 45), 60_000);
});
