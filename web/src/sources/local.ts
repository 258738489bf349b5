/** The captions of a simulator: server-sent events, each with the bytes of a data-stream message. */

import { type CaptionSource, type Listener, Messages } from "./source.ts";

/** Until another try, after an answer that is no stream; after a broken connection the browser tries by itself. */
const RETRY = 2000;

export class LocalSource implements CaptionSource {
  readonly #url: string;
  readonly #listener: Listener;
  readonly #messages: Messages;
  #events: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(base: string, channel: string, listener: Listener) {
    this.#url = `${base.replace(/\/+$/, "")}/simulator/channels/${encodeURIComponent(channel)}/captions`;
    this.#listener = listener;
    this.#messages = new Messages(listener);
    listener.connection("connecting");
    this.#open();
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#events?.close();
    this.#messages.close();
  }

  #open(): void {
    const events = new EventSource(this.#url);
    this.#events = events;
    events.onopen = () => this.#listener.connection("live");
    events.onerror = () => {
      this.#listener.connection("reconnecting");
      if (events.readyState === EventSource.CLOSED) {
        this.#retry = setTimeout(() => this.#open(), RETRY);
      }
    };
    events.addEventListener("stream-message", (event: MessageEvent<string>) => {
      const { payload } = JSON.parse(event.data) as { payload: string };
      this.#messages.take(Uint8Array.from(atob(payload), (character) => character.charCodeAt(0)));
    });
  }
}
