/** What has been said in a channel, from the captions that tell of it: no DOM, no clock. */

import type { Caption } from "./caption.ts";

/** Something that somebody says, or has said. */
export interface Utterance {
  readonly id: number;
  readonly speaker: string;
  language: string;
  text: string;
  final: boolean;
  /** By language, in the order in which they came. */
  readonly translations: Map<string, Translation>;
}

/** What is known of a translation. */
export interface Translation {
  text: string;
  final: boolean;
}

/** What a caption has changed. */
export interface Change {
  readonly utterance: Utterance;
  /** Whether the utterance has got its text for good with it. */
  readonly finished: boolean;
  /** Those that there is no more room for. */
  readonly dropped: readonly Utterance[];
}

interface Record extends Utterance {
  /** The times of the captions that it is made of, which grow. */
  readonly first: number;
  last: number;
  readonly sentence: string;
}

/** Utterances in the order in which they began; only so many, and the oldest go first. */
export class Transcript {
  readonly #limit: number;
  #utterances: Record[] = [];
  #next = 1;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get utterances(): readonly Utterance[] {
    return this.#utterances;
  }

  /** Take a caption in; null where it says nothing new, as one that comes a second time after a reconnect. */
  apply(caption: Caption): Change | null {
    if (!caption.text.trim()) {
      return null;
    }
    return caption.kind === "original" ? this.#said(caption) : this.#translated(caption);
  }

  /** Forget everything. */
  clear(): void {
    this.#utterances = [];
  }

  /** Take what was left open as it is: nobody will say more of it. */
  close(speaker?: string): Utterance[] {
    const open = this.#utterances.filter((each) => !each.final && (speaker === undefined || each.speaker === speaker));
    for (const each of open) {
      each.final = true;
    }
    return open;
  }

  #said(caption: Caption): Change | null {
    const open = this.#utterances.findLast((each) => each.speaker === caption.speaker && !each.final);
    const known = this.#utterances.findLast((each) => each.speaker === caption.speaker && same(each, caption));
    const found = known ?? (open && !other(open, caption) ? open : undefined);
    if (found?.final && (!caption.final || found.text === caption.text)) {
      return null;
    }
    if (found) {
      const finished = caption.final && !found.final;
      found.language = caption.language || found.language;
      found.text = caption.text;
      found.final = caption.final;
      found.last = Math.max(found.last, caption.time);
      return { utterance: found, finished, dropped: [] };
    }
    const begun = {
      id: this.#next++,
      speaker: caption.speaker,
      language: caption.language,
      text: caption.text,
      final: caption.final,
      translations: new Map(),
      first: caption.time,
      last: caption.time,
      sentence: caption.sentence,
    };
    this.#utterances.push(begun);
    const dropped = this.#utterances.splice(0, Math.max(0, this.#utterances.length - this.#limit));
    return { utterance: begun, finished: begun.final, dropped };
  }

  #translated(caption: Caption): Change | null {
    const theirs = this.#utterances.filter((each) => each.speaker === caption.speaker);
    const original =
      theirs.findLast((each) => same(each, caption)) ??
      theirs.findLast((each) => !other(each, caption) && each.first <= caption.time) ??
      (caption.time || caption.sentence ? undefined : theirs.at(-1));
    const known = original?.translations.get(caption.language);
    if (!original || (known?.final && !caption.final) || (known?.final && known.text === caption.text)) {
      return null;
    }
    original.translations.set(caption.language, { text: caption.text, final: caption.final });
    return { utterance: original, finished: false, dropped: [] };
  }
}

/** Whether a caption is certainly about this utterance. */
function same(utterance: Record, caption: Caption): boolean {
  if (utterance.sentence && caption.sentence) {
    return utterance.sentence === caption.sentence;
  }
  return caption.time > 0 && utterance.first <= caption.time && caption.time <= utterance.last;
}

/** Whether a caption is certainly about another utterance. */
function other(utterance: Record, caption: Caption): boolean {
  return Boolean(utterance.sentence && caption.sentence) && utterance.sentence !== caption.sentence;
}
