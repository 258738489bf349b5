/** Sound, as the Socket.IO service takes it: pieces of 100 ms, of 16-bit samples in base64. */

/** Samples per second that speech is recognized at. */
export const RATE = 16000;

/** Pieces per second. */
export const PIECES = 10;

/** Sound that goes on until it ends or is stopped. */
export interface Feed {
  /** Samples per second of the pieces. */
  readonly rate: number;
  /** Give pieces, in the time in which they are spoken; settles when there are no more. */
  play(piece: (samples: Float32Array) => void): Promise<void>;
  stop(): void;
}

/** Samples from -1 to 1 as signed 16-bit little-endian ones. */
export function pcm16(samples: Float32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  samples.forEach((sample, place) => {
    const clipped = Math.max(-1, Math.min(1, sample));
    view.setInt16(place * 2, Math.round(clipped * (clipped < 0 ? 0x8000 : 0x7fff)), true);
  });
  return new Uint8Array(view.buffer);
}

export function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

/** How many pieces are due after so many milliseconds; of a tab in the background, whose timers rest, several at once. */
export function due(elapsed: number): number {
  return Math.floor((elapsed * PIECES) / 1000) + 1;
}

/** A sound file, of whatever kind the browser can decode. */
export async function fileFeed(file: Blob): Promise<Feed> {
  // Decoding into a context of this rate resamples; what has several channels is brought into one below.
  const context = new OfflineAudioContext(1, 1, RATE);
  const decoded = await context.decodeAudioData(await file.arrayBuffer());
  const mono = new OfflineAudioContext(1, Math.max(1, decoded.length), RATE);
  const source = new AudioBufferSourceNode(mono, { buffer: decoded });
  source.connect(mono.destination);
  source.start();
  return new SamplesFeed((await mono.startRendering()).getChannelData(0));
}

class SamplesFeed implements Feed {
  readonly rate = RATE;
  readonly #samples: Float32Array;
  #end: () => void = () => {};

  constructor(samples: Float32Array) {
    this.#samples = samples;
  }

  async play(piece: (samples: Float32Array) => void): Promise<void> {
    const size = RATE / PIECES;
    const pieces = Math.ceil(this.#samples.length / size);
    const began = performance.now();
    let given = 0;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        for (; given < Math.min(pieces, due(performance.now() - began)); given++) {
          piece(this.#samples.subarray(given * size, (given + 1) * size));
        }
        if (given >= pieces) {
          this.#end();
        }
      }, 1000 / PIECES);
      this.#end = () => {
        clearInterval(timer);
        resolve();
      };
    });
  }

  stop(): void {
    this.#end();
  }
}

/** The microphone, once its user has agreed. */
export async function microphoneFeed(worklet: string): Promise<Feed> {
  if (!isSecureContext) {
    throw new Error("browsers lend a microphone only to pages of https:// and of localhost");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  const open = async (options: AudioContextOptions): Promise<MicrophoneFeed> => {
    const context = new AudioContext(options);
    try {
      await context.audioWorklet.addModule(worklet);
      const source = context.createMediaStreamSource(stream);
      return new MicrophoneFeed(stream, context, source);
    } catch (error) {
      await context.close();
      throw error;
    }
  };
  try {
    return await open({ sampleRate: RATE });
  } catch (error) {
    if (!(error instanceof DOMException && error.name === "NotSupportedError")) {
      throw error;
    }
    return await open({}); // a browser that doesn't resample a microphone: the service does
  }
}

class MicrophoneFeed implements Feed {
  readonly rate: number;
  readonly #stream: MediaStream;
  readonly #context: AudioContext;
  readonly #source: MediaStreamAudioSourceNode;
  #end: () => void = () => {};

  constructor(stream: MediaStream, context: AudioContext, source: MediaStreamAudioSourceNode) {
    this.rate = context.sampleRate;
    this.#stream = stream;
    this.#context = context;
    this.#source = source;
  }

  async play(piece: (samples: Float32Array) => void): Promise<void> {
    const node = new AudioWorkletNode(this.#context, "pieces", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { size: Math.round(this.rate / PIECES) },
    });
    node.port.onmessage = (event: MessageEvent<Float32Array>) => piece(event.data);
    this.#source.connect(node);
    await new Promise<void>((resolve) => {
      this.#end = resolve;
      for (const track of this.#stream.getTracks()) {
        track.addEventListener("ended", () => resolve()); // unplugged
      }
    });
    node.port.onmessage = null;
    this.stop();
  }

  stop(): void {
    this.#end();
    for (const track of this.#stream.getTracks()) {
      track.stop();
    }
    if (this.#context.state !== "closed") {
      void this.#context.close();
    }
  }
}
