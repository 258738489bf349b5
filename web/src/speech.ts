/** What is spoken here, transcribed by the Socket.IO service: docs/stt.md. */

import { io, type Socket } from "socket.io-client";

import { base64, type Feed, pcm16 } from "./audio.ts";
import { YOU } from "./caption.ts";
import type { Listener } from "./sources/source.ts";

/** Pieces that may wait in the browser for a slow network. */
const WAITING = 100;

/** Milliseconds for the last words, once there is no more sound: longer than the service gives itself. */
const LAST_WORDS = 12_000;

/** What to do when the service has ended a session, by its code. */
const ADVICE: Readonly<Record<number, string>> = {
  1001: "It restarts: begin again.",
  1013: "Try again in a minute.",
};

interface Transcript {
  readonly message_type: string;
  readonly text?: string;
}

/** Who is told of it. */
export interface SpeechListener extends Listener {
  /** The API key does not count there. */
  refused(): void;
}

/** One feed of sound on its way to the service; over when `done` settles. */
export class Speech {
  readonly done: Promise<void>;
  readonly #socket: Socket;
  readonly #feed: Feed;
  readonly #listener: SpeechListener;
  readonly #begun = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<void>();
  /** Whether the service takes sound. */
  #ready = false;
  #stopping = false;

  constructor(url: string, key: string, feed: Feed, listener: SpeechListener) {
    const { origin, pathname } = new URL(url);
    this.#feed = feed;
    this.#listener = listener;
    listener.connection("connecting");
    // It begins with polling, which unlike a browser's WebSocket can carry the key, and goes over to a WebSocket.
    this.#socket = io(origin, {
      path: `${pathname.replace(/\/+$/, "")}/api/stt-realtime-socket`,
      extraHeaders: key ? { "x-api-key": key } : {},
      forceNew: true,
    });
    this.#listen();
    this.done = this.#run();
  }

  /** End it, with the words that are under way. */
  stop(): void {
    this.#stopping = true;
    this.#feed.stop();
    this.#begun.resolve();
  }

  async #run(): Promise<void> {
    try {
      await this.#begun.promise;
      if (!this.#stopping) {
        await this.#feed.play((samples) => this.#send(samples));
      }
      this.#stopping = true;
      if (this.#ready) {
        this.#socket.emit("stop-session");
        await Promise.race([this.#finished.promise, new Promise((resolve) => setTimeout(resolve, LAST_WORDS))]);
      }
    } finally {
      this.#socket.disconnect();
      this.#listener.connection("disconnected");
    }
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on("connect", () => socket.emit("start-session", { sampleRate: this.#feed.rate }));
    socket.on("session-started", () => {
      this.#ready = true;
      this.#listener.connection("live");
      this.#begun.resolve();
    });
    socket.on("transcript-message", (message: Transcript) => this.#hear(message));
    socket.on("session-error", ({ error }: { error: string }) => this.#listener.problem(`Speech: ${error}.`));
    socket.on("session-closed", ({ code, reason }: { code: number; reason: string }) => {
      if (!this.#stopping) {
        this.#listener.problem(
          `The speech service has ended the session: ${reason}. ${ADVICE[code] ?? "Begin again."}`,
        );
      }
      this.#ready = false;
      this.#finished.resolve();
      this.stop();
    });
    socket.on("disconnect", () => {
      this.#ready = false;
      if (this.#stopping) {
        this.#finished.resolve();
      } else {
        this.#listener.connection("reconnecting");
      }
    });
    socket.on("connect_error", (error: Error & { description?: unknown }) => {
      if (error.description === 401) {
        this.#listener.problem("The speech service wants another API key: type one that it knows, and begin again.");
        this.#listener.refused();
        this.stop();
      } else {
        this.#listener.problem("The speech service does not answer. It is tried again.");
        this.#listener.connection("reconnecting");
      }
    });
  }

  #hear(message: Transcript): void {
    const final = message.message_type === "committed_transcript";
    if (final || message.message_type === "partial_transcript") {
      const text = message.text ?? "";
      this.#listener.caption({ speaker: YOU, kind: "original", language: "", text, final, time: 0, sentence: "" });
    }
  }

  #send(samples: Float32Array): void {
    if (!this.#ready) {
      return; // a broken connection: what is said meanwhile is lost
    }
    if (this.#socket.io.engine.writeBuffer.length > WAITING) {
      this.#listener.problem("The network is too slow for sound. Begin again where it is faster.");
      this.stop();
      return;
    }
    this.#socket.emit("audio-chunk", { audio_base_64: base64(pcm16(samples)), sample_rate: this.#feed.rate });
  }
}
