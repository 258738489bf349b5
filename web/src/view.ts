/** The list of captions on the page: text goes in as text, never as HTML. */

import { colourOf, nameOf } from "./caption.ts";
import type { Change, Utterance } from "./transcript.ts";

/** Final utterances that are kept where a screen reader hears of them. */
const ANNOUNCED = 3;

/** Pixels from the end within which a reader counts as being there. */
const NEAR = 48;

/** Draws utterances, and follows the newest while its reader does. */
export class CaptionList {
  readonly #region: HTMLElement;
  readonly #list: HTMLElement;
  readonly #announcer: HTMLElement;
  readonly #newest: HTMLElement;
  readonly #items = new Map<number, HTMLElement>();

  /**
   * @param region What scrolls.
   * @param list The list in it.
   * @param announcer What screen readers read out as it changes: final utterances only.
   * @param newest The button that leads back to the newest.
   */
  constructor(region: HTMLElement, list: HTMLElement, announcer: HTMLElement, newest: HTMLElement) {
    this.#region = region;
    this.#list = list;
    this.#announcer = announcer;
    this.#newest = newest;
    region.addEventListener("scroll", () => this.#offerNewest());
    newest.addEventListener("click", () => {
      this.#scrollToEnd();
      region.focus();
    });
  }

  show(change: Change): void {
    const follows = this.#atEnd();
    for (const each of change.dropped) {
      this.#items.get(each.id)?.remove();
      this.#items.delete(each.id);
    }
    this.draw(change.utterance);
    if (change.finished) {
      this.#announce(change.utterance);
    }
    if (follows) {
      this.#scrollToEnd();
    }
    this.#offerNewest();
  }

  draw(utterance: Utterance): void {
    let item = this.#items.get(utterance.id);
    if (!item) {
      item = element("li", "utterance");
      const said = element("p", "text");
      said.dir = "auto";
      item.append(element("span", "speaker"), said);
      this.#items.set(utterance.id, item);
      this.#list.append(item);
    }
    const [speaker, text] = item.children as unknown as [HTMLElement, HTMLElement];
    item.dataset["final"] = String(utterance.final);
    item.dataset["speaker"] = utterance.speaker;
    speaker.dataset["colour"] = String(colourOf(utterance.speaker));
    write(speaker, nameOf(utterance.speaker));
    write(text, utterance.text);
    text.lang = utterance.language;
    for (const [language, translation] of utterance.translations) {
      let line = item.querySelector<HTMLElement>(`.translation[lang="${CSS.escape(language)}"]`);
      if (!line) {
        line = element("p", "translation");
        line.lang = language;
        const label = element("span", "language");
        label.lang = "en";
        label.textContent = language;
        const words = element("span", "words");
        words.dir = "auto"; // and not the line, whose first letters are the label's
        line.append(label, words);
        item.append(line);
      }
      line.dataset["final"] = String(translation.final);
      write(line.lastElementChild as HTMLElement, translation.text);
    }
  }

  clear(): void {
    this.#items.clear();
    this.#list.replaceChildren();
    this.#announcer.replaceChildren();
    this.#offerNewest();
  }

  #announce(utterance: Utterance): void {
    const line = element("p", "");
    const words = element("span", "");
    words.lang = utterance.language;
    words.dir = "auto";
    words.textContent = utterance.text;
    line.append(`${nameOf(utterance.speaker)}: `, words);
    this.#announcer.append(line);
    while (this.#announcer.childElementCount > ANNOUNCED) {
      this.#announcer.firstElementChild?.remove();
    }
  }

  #atEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.#region;
    return scrollHeight - scrollTop - clientHeight < NEAR;
  }

  #scrollToEnd(): void {
    this.#region.scrollTop = this.#region.scrollHeight;
  }

  #offerNewest(): void {
    this.#newest.hidden = this.#atEnd();
  }
}

function element(name: string, kind: string): HTMLElement {
  const made = document.createElement(name);
  made.className = kind;
  return made;
}

/** Only what has changed: a selection of the rest stays. */
function write(target: HTMLElement, text: string): void {
  if (target.textContent !== text) {
    target.textContent = text;
  }
}
