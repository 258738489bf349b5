import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

import { TextSchema } from "../src/captions_pb.ts";
import { decode } from "../src/decode.ts";

function bytes(message: MessageInitShape<typeof TextSchema>): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(toBinary(TextSchema, create(TextSchema, message)));
}

function json(message: unknown): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(JSON.stringify(message)));
}

const SAID = {
  uid: 17n,
  textTs: 1795261612345n,
  dataType: "transcribe",
  culture: "zh-HK",
  words: [{ text: "早晨" }, { text: "，大家好", isFinal: true }],
};

test("words become the text, final as soon as one of them is", async () => {
  assert.deepEqual(await decode(bytes(SAID)), [
    {
      speaker: "17",
      kind: "original",
      language: "zh-HK",
      text: "早晨，大家好",
      final: true,
      time: 1795261612345,
      sentence: "",
    },
  ]);
  const [partial] = await decode(bytes({ ...SAID, words: [{ text: "早晨" }] }));
  assert.equal(partial?.final, false);
  const [ended] = await decode(bytes({ ...SAID, words: [{ text: "早晨" }], endOfSegment: true }));
  assert.equal(ended?.final, true);
});

test("a uid has 32 bits and no sign", async () => {
  for (const [sent, shown] of [
    [-1n, "4294967295"],
    [-2147483648n, "2147483648"],
    [4294967295n, "4294967295"],
    [0n, "0"],
  ] as const) {
    const [caption] = await decode(bytes({ ...SAID, uid: sent }));
    assert.equal(caption?.speaker, shown);
  }
});

test("the number of the utterance is taken where there is one", async () => {
  const [caption] = await decode(bytes({ ...SAID, sentenceId: 1795261612000n }));
  assert.equal(caption?.sentence, "1795261612000");
});

test("without a time of the text, that of the message counts", async () => {
  const [caption] = await decode(bytes({ ...SAID, textTs: 0n, time: 99n }));
  assert.equal(caption?.time, 99);
});

test("each language of a translation is a caption", async () => {
  const trans = [
    { lang: "fr-FR", texts: ["Bonjour", " à tous"], isFinal: true },
    { lang: "ja-JP", texts: ["みなさん"] },
  ];
  const captions = await decode(bytes({ uid: 17n, dataType: "translate", trans }));
  assert.deepEqual(
    captions.map(({ kind, language, text, final }) => [kind, language, text, final]),
    [
      ["translation", "fr-FR", "Bonjour à tous", true],
      ["translation", "ja-JP", "みなさん", false],
    ],
  );
});

test("Agora's JSON is read, packed or not", async () => {
  const transcript = {
    uid: 17,
    language: "en-US",
    sentenceId: 5,
    textTs: 7,
    isFinal: false,
    results: [
      { text: "Good ", isFinal: true },
      { text: "morning", isFinal: false },
    ],
  };
  const expected = {
    speaker: "17",
    kind: "original",
    language: "en-US",
    text: "Good morning",
    final: false,
    time: 7,
    sentence: "5",
  };
  assert.deepEqual(await decode(json({ transcript })), [expected]);
  assert.deepEqual(await decode(Uint8Array.from(gzipSync(json({ transcript })))), [expected]);
  const plain = { uid: "4294967295", language: "en-US", text: "Good", isFinal: true };
  const [caption] = await decode(json({ transcript: plain }));
  assert.deepEqual([caption?.speaker, caption?.text, caption?.final], ["4294967295", "Good", true]);
});

test("a translation in JSON", async () => {
  const results = [{ language: "fr-FR", texts: ["Bon", "jour"], isFinal: true }];
  const captions = await decode(json({ translation: { uid: 17, sentenceId: 5, textTs: 7, results } }));
  assert.deepEqual(
    captions.map(({ kind, language, text, final, sentence }) => [kind, language, text, final, sentence]),
    [["translation", "fr-FR", "Bonjour", true, "5"]],
  );
});

test("what is no caption says nothing, or throws", async () => {
  assert.deepEqual(await decode(bytes({ uid: 1n, dataType: "chat" })), []);
  assert.deepEqual(await decode(json({ other: 1 })), []);
  for (const wrong of [
    [0xff, 0xff, 0xff],
    [0x7b, 0x7b],
    [0x1f, 0x8b, 0x00],
    [0x7b, 0xff],
  ]) {
    await assert.rejects(decode(Uint8Array.from(wrong)));
  }
  await assert.rejects(decode(json({ transcript: { text: "nobody's" } })));
  const broken = json({ transcript: { uid: 17, text: "?", isFinal: true } });
  broken[broken.indexOf(0x3f)] = 0xff; // no UTF-8
  await assert.rejects(decode(broken));
});

test("whatever bytes come, nothing but an error is thrown and no speaker is out of range", async () => {
  let state = 1;
  const random = () => {
    state = Math.imul(state, 48271) % 0x7fffffff;
    return Math.abs(state);
  };
  const whole = bytes(SAID);
  for (let round = 0; round < 2000; round++) {
    const broken = whole.slice(0, random() % (whole.length + 1));
    if (broken.length) {
      broken[random() % broken.length] = random() & 0xff;
    }
    try {
      for (const caption of await decode(broken)) {
        assert.ok(Number(caption.speaker) >= 0 && Number(caption.speaker) < 2 ** 32);
      }
    } catch (error) {
      assert.ok(error instanceof Error);
    }
  }
});
