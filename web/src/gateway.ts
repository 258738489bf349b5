/** The calls of the gateway: those of docs/gateway.md, and the page's own configuration. */

/** What `config.json` says. */
export interface Config {
  /** Whose captions are shown: those of the channel, or those of a simulator. */
  readonly source: "agora" | "local";
  readonly appId: string | null;
  readonly captionsUrl: string | null;
  readonly sttUrl: string | null;
  readonly keyRequired: boolean;
  /** Seconds that a call may take at the gateway. */
  readonly longestCall: number;
}

/** What a start is answered with, and what a stop needs. */
export interface Ids {
  readonly taskId: string;
  readonly builderToken: string;
}

/** A call has not ended well. */
export class CallFailed extends Error {
  /** The HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** Seconds after which the gateway wants to be called again; 0 where it says nothing of it. */
  readonly retryAfter: number;

  constructor(status: number, said: string, retryAfter = 0) {
    super(status ? `${status} ${said}` : said);
    this.name = "CallFailed";
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Milliseconds that a call may take for which the gateway waits for nobody. */
const SHORT = 30_000;

export class Gateway {
  readonly #base: URL;
  readonly #key: () => string;
  /** Of starts and stops. Who gives up a start too early has a transcription that is billed, and no way to stop it. */
  #patience = SHORT;

  /**
   * @param base Where the page is: the calls' paths are relative to it, so that a proxy may have both below a prefix.
   * @param key Says the API key, or nothing where none is needed.
   */
  constructor(base: string, key: () => string) {
    this.#base = new URL(base);
    this.#key = key;
  }

  async config(): Promise<Config> {
    const config = (await this.#answer("config.json", { method: "GET" })) as Config;
    this.#patience = config.longestCall * 1000 + SHORT;
    return config;
  }

  /** Transcribe a channel; a channel that is transcribed is answered with the ids that it has. */
  async start(channel: string): Promise<Ids> {
    return (await this.#post("transcription/start", { channel }, this.#patience)) as Ids;
  }

  async stop(ids: Ids): Promise<void> {
    await this.#post("transcription/stop", ids, this.#patience);
  }

  /** Agora's word for how the transcription is doing. */
  async query(ids: Ids): Promise<string> {
    return ((await this.#post("transcription/query", ids)) as { status: string }).status;
  }

  /** An RTC token to listen with, for an hour. */
  async token(channel: string, uid: number): Promise<string> {
    const asked = { channel, uid: String(uid), expireTime: 3600, role: "subscriber" };
    return ((await this.#post("tokens", asked)) as { token: string }).token;
  }

  async #post(call: string, fields: object, patience = SHORT): Promise<unknown> {
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (this.#key()) {
      headers["x-api-key"] = this.#key();
    }
    const body = JSON.stringify(fields);
    return await this.#answer(`../api/${call}.json`, { method: "POST", headers, body }, patience);
  }

  async #answer(path: string, init: RequestInit, patience = SHORT): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(new URL(path, this.#base), { ...init, signal: AbortSignal.timeout(patience) });
    } catch {
      throw new CallFailed(0, "no answer");
    }
    if (!response.ok) {
      const html = response.headers.get("content-type")?.includes("html");
      const said = html ? response.statusText : (await response.text()).slice(0, 300);
      const retryAfter = Number(response.headers.get("retry-after")); // of a proxy it may be a date, which is none
      throw new CallFailed(response.status, said, retryAfter > 0 ? retryAfter : 0);
    }
    return await response.json();
  }
}

/** What went wrong, and what to do about it. */
export function explained(error: unknown): string {
  if (!(error instanceof CallFailed)) {
    return `${error instanceof Error ? error.message : error}. Reload the page.`;
  }
  const said = error.message;
  switch (error.status) {
    case 0:
      return "The gateway does not answer. Look whether it runs and can be reached from here, then try again.";
    case 400:
      return `The gateway refuses this: ${said}. Correct the name of the channel.`;
    case 401:
      return "The API key does not count. Type one that the gateway has in its file of keys, and try again.";
    case 403:
      return `The gateway refuses this: ${said}. Ask whoever runs it which channels it may transcribe.`;
    case 429:
      return "Too many calls with this API key or from this address. Wait a minute, and try again.";
    case 502:
      return `${said}. Look at the TranscriptionTask: kubectl get ttask -o wide.`;
    case 503:
      return `${said}. Whoever runs the gateway has to give it what it lacks: its log names it.`;
    case 504:
      return `${said}. Try again: a stop goes on by itself, and a start that failed leaves nothing behind.`;
    default:
      return `The gateway answers ${said}. Try again; its log says more.`;
  }
}
