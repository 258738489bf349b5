import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { COLOURS, colourOf, nameOf, YOU } from "../src/caption.ts";

const STYLE = readFileSync(new URL("../style.css", import.meta.url), "utf8");

/** WCAG's contrast of two colours, as #rrggbb. */
function contrast(one: string, other: string): number {
  const [low = 0, high = 0] = [one, other].map(luminance).sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((place) => Number.parseInt(colour.slice(place, place + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

test("text has the contrast that WCAG asks for, in both schemes", () => {
  const schemes = [...STYLE.matchAll(/:root \{([^}]*)\}/g)].map(([, rules = ""]) =>
    Object.fromEntries([...rules.matchAll(/--([\w-]+): (#\w{6})/g)].map(([, name, value]) => [name, value])),
  );
  assert.equal(schemes.length, 2);
  for (const scheme of schemes) {
    const read = (name: string): string => scheme[name] ?? assert.fail(name);
    for (const name of Object.keys(scheme).filter((each) => !/ground|raised|line|on-accent/.test(each))) {
      assert.ok(contrast(read(name), read("ground")) >= 4.5, `${name} on ground`);
    }
    assert.ok(contrast(read("quiet"), read("raised")) >= 4.5);
    assert.ok(contrast(read("on-accent"), read("accent")) >= 4.5);
    assert.ok(contrast(read("line"), read("ground")) >= 3);
    assert.equal(Object.keys(scheme).filter((each) => each.startsWith("speaker-")).length, COLOURS);
  }
});

test("a speaker keeps a colour, and speakers of a room have several", () => {
  const colours = Array.from({ length: 40 }, (_, place) => colourOf(String(1000 + place)));
  assert.ok(colours.every((each) => each >= 0 && each < COLOURS));
  assert.equal(new Set(colours).size, COLOURS);
  assert.ok(colours.every((each, place) => each !== colours[place + 1]));
  assert.equal(colourOf("1000"), colours[0]);
});

test("a speaker has a name", () => {
  assert.equal(nameOf("17"), "Speaker 17");
  assert.equal(nameOf(YOU), "You");
});
