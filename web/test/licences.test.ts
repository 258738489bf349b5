import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { licences } from "../licences.ts";

const WEB = fileURLToPath(new URL("..", import.meta.url));

function withFiles(files: Record<string, string>, use: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), "licences-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

const PACKAGE = '{"version": "1.0.0", "license": "MIT"}';

test("each package is there once, with its licence, its notice, and what a bundler has set aside", () => {
  const files = {
    "node_modules/b/package.json": PACKAGE,
    "node_modules/b/License": "licence of b",
    "node_modules/b/NOTICE.md": "notice of b",
    "node_modules/b/dist/b.js.LICENSE.txt": "licence of what is in b",
    "node_modules/b/dist/other.js.LICENSE.txt": "licence of what is not taken",
    "node_modules/@a/a/package.json": PACKAGE,
    "licences/@a/a.txt": "licence of a, which brings none",
    "node_modules/unused/package.json": PACKAGE,
  };
  withFiles(files, (root) => {
    const inputs = ["src/main.ts", "node_modules/b/dist/b.js", "node_modules/b/c.js", "node_modules/@a/a/a.js"];
    const text = licences(root, inputs).replaceAll(/\n+(-{80}\n+)?/g, "|");
    const b = "b 1.0.0: MIT|licence of b|notice of b|licence of what is in b";
    assert.equal(text, `@a/a 1.0.0: MIT|licence of a, which brings none|${b}`);
  });
});

test("a package without a text is not bundled; a notice is no licence", () => {
  withFiles({ "node_modules/b/package.json": PACKAGE, "node_modules/b/NOTICE": "notice" }, (root) => {
    assert.throws(() => licences(root, ["node_modules/b/b.js"]), /b brings no text .* licences\/b\.txt/);
  });
});

test("what the bundled packages have inside of them is there too", () => {
  const files = ["agora-rtc-sdk-ng/AgoraRTC_N-production.js", "@bufbuild/protobuf/dist/esm/index.js"];
  const swagger = "swagger-ui-dist/swagger-ui-es-bundle.js";
  const text = licences(
    WEB,
    [...files, swagger].map((each) => `node_modules/${each}`),
  );
  for (const holder of [
    "AgoraInc.",
    "zloirock",
    "Matt Zabriskie",
    "Vitaly Puzrin",
    "The WebRTC project authors",
    "Buf Technologies",
    "Google Inc.",
    "Facebook, Inc.",
    "Feross Aboukhadijeh",
  ]) {
    assert.ok(text.includes(holder), holder);
  }
});
