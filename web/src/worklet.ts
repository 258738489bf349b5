/** Runs beside the page, where the microphone's samples come in blocks of 128: hands them on in pieces of 100 ms. */

declare class AudioWorkletProcessor {
  readonly port: MessagePort;
}

declare function registerProcessor(name: string, processor: unknown): void;

class Pieces extends AudioWorkletProcessor {
  #piece: Float32Array;
  #filled = 0;

  constructor(options: { processorOptions: { size: number } }) {
    super();
    this.#piece = new Float32Array(options.processorOptions.size);
  }

  process(inputs: Float32Array[][]): boolean {
    for (const sample of inputs[0]?.[0] ?? []) {
      this.#piece[this.#filled++] = sample;
      if (this.#filled === this.#piece.length) {
        this.port.postMessage(this.#piece);
        this.#piece = new Float32Array(this.#piece.length);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("pieces", Pieces);
