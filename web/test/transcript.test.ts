import assert from "node:assert/strict";
import { test } from "node:test";

import type { Caption } from "../src/caption.ts";
import { Transcript } from "../src/transcript.ts";

function said(speaker: string, text: string, time: number, final = false, sentence = ""): Caption {
  return { speaker, kind: "original", language: "en-US", text, final, time, sentence };
}

function meant(speaker: string, language: string, text: string, time: number, final = false, sentence = ""): Caption {
  return { speaker, kind: "translation", language, text, final, time, sentence };
}

function fill(captions: Caption[], limit = 100): Transcript {
  const transcript = new Transcript(limit);
  for (const caption of captions) {
    transcript.apply(caption);
  }
  return transcript;
}

function lines(transcript: Transcript): unknown[] {
  return transcript.utterances.map(({ speaker, text, final, translations }) => {
    const translated = [...translations].map(([language, each]) => `${language}: ${each.text}`);
    return [`${speaker}: ${text}${final ? "" : " …"}`, ...translated].join(" | ");
  });
}

test("a partial becomes final in its place, and the next utterance is another", () => {
  const transcript = new Transcript(10);
  assert.equal(transcript.apply(said("1", "good", 10))?.finished, false);
  assert.equal(transcript.apply(said("1", "good morning", 20, true))?.finished, true);
  transcript.apply(said("1", "all", 30));
  assert.deepEqual(lines(transcript), ["1: good morning", "1: all …"]);
});

test("two who speak at once do not write into each other's lines", () => {
  const captions = [said("1", "a", 1), said("2", "x", 1), said("1", "a b", 2), said("2", "x y", 3, true)];
  assert.deepEqual(lines(fill(captions)), ["1: a b …", "2: x y"]);
});

test("what comes again after a reconnect changes nothing", () => {
  const captions = [said("1", "a", 1), said("1", "a b", 2, true), meant("1", "fr-FR", "A B", 2, true)];
  const transcript = fill(captions);
  assert.deepEqual(
    captions.map((each) => transcript.apply(each)),
    [null, null, null],
  );
  assert.deepEqual(lines(transcript), ["1: a b | fr-FR: A B"]);
});

test("a translation goes to the utterance of its time, also a late one", () => {
  const captions = [
    said("1", "one", 10),
    said("1", "one.", 19, true),
    said("1", "two", 20),
    meant("1", "fr-FR", "un", 15),
    meant("1", "de-DE", "eins.", 19, true),
    meant("1", "fr-FR", "deux", 20),
    meant("1", "fr-FR", "un.", 19, true),
  ];
  assert.deepEqual(lines(fill(captions)), ["1: one. | fr-FR: un. | de-DE: eins.", "1: two … | fr-FR: deux"]);
});

test("a translation of nothing that is here is left out", () => {
  assert.deepEqual(lines(fill([meant("1", "fr-FR", "un", 15), said("1", "two", 20), meant("1", "fr-FR", "un", 15)])), [
    "1: two …",
  ]);
});

test("numbers of sentences go before times", () => {
  const captions = [
    said("1", "one", 10, false, "1"),
    said("1", "two", 10, false, "2"),
    said("1", "one.", 12, true, "1"),
    meant("1", "fr-FR", "deux", 12, false, "2"),
  ];
  assert.deepEqual(lines(fill(captions)), ["1: one.", "1: two … | fr-FR: deux"]);
});

test("a late partial does not open a final utterance again", () => {
  assert.deepEqual(lines(fill([said("1", "a", 1), said("1", "a b.", 3, true), said("1", "a b", 2)])), ["1: a b."]);
});

test("a final text that is corrected changes, and is not finished a second time", () => {
  const transcript = fill([said("1", "good mourning", 1, true, "7")]);
  assert.equal(transcript.apply(said("1", "good morning", 2, true, "7"))?.finished, false);
  assert.deepEqual(lines(transcript), ["1: good morning"]);
});

test("a late partial does not open a final translation again", () => {
  const captions = [said("1", "a", 1, true), meant("1", "fr-FR", "A.", 1, true), meant("1", "fr-FR", "A", 1)];
  assert.deepEqual(lines(fill(captions)), ["1: a | fr-FR: A."]);
});

test("a translation of a sentence that is not here is left out, whatever its time", () => {
  const captions = [said("1", "a", 1, true, "1"), meant("1", "fr-FR", "B", 2, true, "2")];
  assert.deepEqual(lines(fill(captions)), ["1: a"]);
});

test("without times the open utterance goes on", () => {
  const captions = [said("you", "a", 0), said("you", "a b", 0, true), said("you", "a b", 0, true)];
  assert.deepEqual(lines(fill(captions)), ["you: a b", "you: a b"]);
});

test("only so many are kept, and the page is told which go", () => {
  const transcript = fill([said("1", "a", 1, true), said("1", "b", 2, true)], 2);
  const change = transcript.apply(said("1", "c", 3, true));
  assert.deepEqual(
    change?.dropped.map((each) => each.text),
    ["a"],
  );
  assert.deepEqual(lines(transcript), ["1: b", "1: c"]);
});

test("blanks are nothing", () => {
  assert.equal(new Transcript(2).apply(said("1", "  ", 1)), null);
});

test("what is left open is closed for one speaker, or for all", () => {
  const transcript = fill([said("1", "a", 1), said("2", "b", 1)]);
  assert.deepEqual(
    transcript.close("2").map((each) => each.text),
    ["b"],
  );
  assert.deepEqual(
    transcript.close().map((each) => each.text),
    ["a"],
  );
  assert.deepEqual(lines(transcript), ["1: a", "2: b"]);
});
