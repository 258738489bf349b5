import assert from "node:assert/strict";
import { test } from "node:test";

import { base64, due, pcm16 } from "../src/audio.ts";

test("samples become little-endian, and are cut off where they are too loud", () => {
  assert.deepEqual([...pcm16(Float32Array.of(0, 1, -1, 2, -2))], [0, 0, 0xff, 0x7f, 0, 0x80, 0xff, 0x7f, 0, 0x80]);
});

test("base64 is that of everybody", () => {
  const bytes = Uint8Array.from({ length: 3200 }, (_, place) => place & 0xff);
  assert.equal(base64(bytes), Buffer.from(bytes).toString("base64"));
});

test("ten pieces a second are due, the first at once, and those of a pause together", () => {
  assert.deepEqual([0, 99, 100, 950, 1000, 3000].map(due), [1, 1, 2, 10, 11, 31]);
});
