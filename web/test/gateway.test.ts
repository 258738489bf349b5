import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";

import { CallFailed, explained, Gateway } from "../src/gateway.ts";

const IDS = { taskId: "t", builderToken: "b" };

async function served(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  use: (base: string) => Promise<void>,
): Promise<void> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/prefix/captions/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test("calls go to where the page comes from, with the key", async () => {
  const seen: unknown[] = [];
  await served(
    (request, response) => {
      seen.push([request.method, request.url, request.headers["x-api-key"]]);
      response.end('{"status": "IN_PROGRESS", "token": "t", "longestCall": 25}');
    },
    async (base) => {
      const gateway = new Gateway(base, () => "key");
      assert.equal(await gateway.query(IDS), "IN_PROGRESS");
      assert.equal(await gateway.token("room", 7), "t");
      await new Gateway(base, () => "").config();
    },
  );
  assert.deepEqual(seen, [
    ["POST", "/prefix/api/transcription/query.json", "key"],
    ["POST", "/prefix/api/tokens.json", "key"],
    ["GET", "/prefix/captions/config.json", undefined],
  ]);
});

test("a refusal says its text, and a proxy's page only its status", async () => {
  for (const [type, body, expected] of [
    ["text/plain; charset=utf-8", "channel is not allowed", "403 channel is not allowed"],
    ["text/html", "<h1>no</h1>", "403 Forbidden"],
  ] as const) {
    await served(
      (_, response) => response.writeHead(403, { "content-type": type }).end(body),
      async (base) => {
        const failure = await new Gateway(base, () => "").start("room").catch((error: unknown) => error);
        assert.ok(failure instanceof CallFailed);
        assert.deepEqual([failure.status, failure.message], [403, expected]);
      },
    );
  }
});

test("too many calls say when to come back, and a date counts as nothing", async () => {
  for (const [said, expected] of [
    ["7", 7],
    ["Wed, 21 Oct 2026 07:28:00 GMT", 0],
    [undefined, 0],
  ] as const) {
    await served(
      (_, response) => response.writeHead(429, said ? { "retry-after": said } : {}).end("too many calls"),
      async (base) => {
        const failure = await new Gateway(base, () => "").query(IDS).catch((error: unknown) => error);
        assert.ok(failure instanceof CallFailed);
        assert.deepEqual([failure.status, failure.retryAfter], [429, expected]);
      },
    );
  }
});

test("a call is waited for as long as the gateway may take, and not for good", async (context) => {
  const limits = context.mock.method(AbortSignal, "timeout");
  await served(
    (_, response) => response.end('{"longestCall": 305}'),
    async (base) => {
      const gateway = new Gateway(base, () => "");
      await gateway.config();
      await gateway.start("room");
      await gateway.query(IDS);
      await gateway.stop(IDS);
    },
  );
  assert.deepEqual(
    limits.mock.calls.map((call) => call.arguments[0]),
    [30_000, 335_000, 30_000, 335_000],
  );
});

test("no answer is status 0", async () => {
  const failure = await new Gateway("http://127.0.0.1:1/captions/", () => "").start("room").catch((error) => error);
  assert.equal(failure.status, 0);
});

test("each failure is explained with what to do", () => {
  for (const status of [0, 400, 401, 403, 429, 500, 502, 503, 504]) {
    const text = explained(new CallFailed(status, "said"));
    assert.match(text, /\.$/);
    assert.ok(text.split(". ").length >= 2 || text.includes(": "), text);
  }
  assert.match(explained(new Error("odd")), /odd/);
});
