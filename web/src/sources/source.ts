/** Where captions come from. */

import type { Caption } from "../caption.ts";
import { decode } from "../decode.ts";
import type { Config, Gateway } from "../gateway.ts";
import type { Connection } from "../run.ts";

/** What a source tells. */
export interface Listener {
  caption(caption: Caption): void;
  connection(state: Connection): void;
  /** Something does not work, in words that say what to do; the source may go on. */
  problem(text: string): void;
}

/** An open stream of the captions of a channel, which reconnects by itself. */
export interface CaptionSource {
  /** End it; the listener hears nothing from then on. */
  close(): void;
}

/** Why the captions of a channel cannot be shown here, and what to do; empty where they can be. */
export async function obstacle(config: Config): Promise<string> {
  return config.source === "agora" ? await (await import("./agora.ts")).obstacle(config.appId) : "";
}

/** Open the source that the configuration names. */
export async function open(
  config: Config,
  channel: string,
  gateway: Gateway,
  listener: Listener,
): Promise<CaptionSource> {
  if (config.source === "local") {
    const { LocalSource } = await import("./local.ts");
    return new LocalSource(config.captionsUrl ?? "", channel, listener);
  }
  const { AgoraSource } = await import("./agora.ts");
  return new AgoraSource(config.appId, channel, gateway, listener);
}

/** Decodes messages one after the other: one that has to be unpacked first is not overtaken. */
export class Messages {
  readonly #listener: Listener;
  #last: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  take(payload: Uint8Array<ArrayBuffer>): void {
    this.#last = this.#last.then(async () => {
      try {
        for (const caption of await decode(payload)) {
          if (!this.#closed) {
            this.#listener.caption(caption);
          }
        }
      } catch {
        // Applications send messages of their own through a channel: what is no caption is not ours to judge.
      }
    });
  }

  close(): void {
    this.#closed = true;
  }
}
