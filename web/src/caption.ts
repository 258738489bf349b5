/** What is shown of a message in a channel: the one form that every encoding and every source is brought into. */

/** What is known so far of something that somebody says, or of its translation. */
export interface Caption {
  /** Who speaks: an RTC uid in decimal, or `YOU`. */
  readonly speaker: string;
  readonly kind: "original" | "translation";
  /** The language of the text, as "en-US"; empty where it is not known. */
  readonly language: string;
  /** All of the utterance so far, and not what is new of it. */
  readonly text: string;
  /** Whether this is how the text stays. */
  readonly final: boolean;
  /** Unix milliseconds, by which a translation finds its original; 0 where there are none. */
  readonly time: number;
  /** Agora's number of the utterance, which says the same better; empty where it gives none. */
  readonly sentence: string;
}

/** The speaker of what this browser sends to the Socket.IO service. */
export const YOU = "you";

/** Of how many colours each speaker has one; `style.css` has as many. */
export const COLOURS = 8;

/** The name that stands before what somebody says. */
export function nameOf(speaker: string): string {
  return speaker === YOU ? "You" : `Speaker ${speaker}`;
}

/** A speaker's colour, 0 to `COLOURS` - 1: the same on every page, and after a reload. */
export function colourOf(speaker: string): number {
  let hash = 2166136261; // FNV-1a: neighbouring uids get different ones
  for (const character of speaker) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619);
  }
  return (hash >>> 0) % COLOURS;
}
