/** Reads the data-stream messages of Agora's speech-to-text bots: protobuf, or JSON where the task was joined with it. */

import { fromBinary } from "@bufbuild/protobuf";

import type { Caption } from "./caption.ts";
import { type Text, TextSchema } from "./captions_pb.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Read one message.
 *
 * @returns What it says of utterances: nothing for a message that is not about any.
 * @throws Whatever is wrong with bytes that are none of those encodings.
 */
export async function decode(payload: Uint8Array<ArrayBuffer>): Promise<Caption[]> {
  // Neither gzip's mark nor a brace can begin a protobuf message: the wire types 7 and 3 (with no such group) are none.
  if (payload[0] === 0x1f && payload[1] === 0x8b) {
    return fromJson(await gunzipped(payload));
  }
  if (payload[0] === 0x7b) {
    return fromJson(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  }
  return fromProtobuf(fromBinary(TextSchema, payload));
}

async function gunzipped(payload: Uint8Array<ArrayBuffer>): Promise<string> {
  const plain = new Blob([payload]).stream().pipeThrough(new DecompressionStream("gzip"));
  return await new Response(plain).text();
}

function fromProtobuf(message: Text): Caption[] {
  const common = {
    speaker: uid(message.uid),
    time: Number(message.textTs || message.time),
    sentence: message.sentenceId ? String(message.sentenceId) : "",
  };
  if (message.dataType === "translate") {
    return message.trans.map((each) => ({
      ...common,
      kind: "translation",
      language: each.lang,
      text: each.texts.join(""),
      final: each.isFinal,
    }));
  }
  if (message.dataType !== "transcribe") {
    return [];
  }
  return [
    {
      ...common,
      kind: "original",
      language: message.culture,
      text: message.words.map((word) => word.text).join(""),
      final: message.endOfSegment || message.words.some((word) => word.isFinal),
    },
  ];
}

/** Agora's JSON: `{"transcript": {…, "results": […]}}` or `{"translation": {…, "results": […]}}`. */
function fromJson(text: string): Caption[] {
  const message = fields(JSON.parse(text));
  const captions: Caption[] = [];
  for (const kind of ["transcript", "translation"] as const) {
    const part = message[kind];
    if (part) {
      captions.push(...ofPart(fields(part), kind === "transcript" ? "original" : "translation"));
    }
  }
  return captions;
}

function ofPart(part: Fields, kind: Caption["kind"]): Caption[] {
  const results = Array.isArray(part["results"]) && part["results"].length > 0 ? part["results"] : [part];
  const common = {
    speaker: uid(part["uid"]),
    kind,
    time: Number(part["textTs"] ?? 0),
    sentence: part["sentenceId"] === undefined ? "" : String(part["sentenceId"]),
  };
  const captions = results.map(fields).map((result) => ({
    ...common,
    language: String(result["language"] ?? part["language"] ?? ""),
    text: Array.isArray(result["texts"]) ? result["texts"].join("") : String(result["text"] ?? ""),
    final: (result["isFinal"] ?? part["isFinal"]) === true,
  }));
  return kind === "translation" ? captions : joined(captions);
}

/** The parts of one utterance, which together are its text so far. */
function joined(parts: readonly Caption[]): Caption[] {
  const [first] = parts;
  if (!first) {
    return [];
  }
  return [{ ...first, text: parts.map((part) => part.text).join(""), final: parts.every((part) => part.final) }];
}

function fields(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError("not an object");
  }
  return value as Fields;
}

/** An RTC uid has 32 bits and no sign, which some senders give it. */
function uid(value: unknown): string {
  return BigInt.asUintN(32, BigInt(value as bigint | number | string)).toString();
}
