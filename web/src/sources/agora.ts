/** The captions of a channel of Agora: its data-stream messages, heard as a member of the audience. */

import type { ConnectionState, IAgoraRTCClient } from "agora-rtc-sdk-ng";

import { explained, type Gateway } from "../gateway.ts";
import type { Connection } from "../run.ts";
import { type CaptionSource, type Listener, Messages } from "./source.ts";

const CONNECTIONS: Readonly<Record<ConnectionState, Connection>> = {
  DISCONNECTED: "disconnected",
  CONNECTING: "connecting",
  RECONNECTING: "reconnecting",
  CONNECTED: "live",
  DISCONNECTING: "disconnected",
};

/** Until another try to join. */
const RETRY = 5000;

const NO_APP_ID =
  "This gateway has no App ID to join the channel with: whoever runs it sets --project-dir " +
  "(gateway.projectSecret of the chart). Then reload the page.";

const INSECURE = "Agora's SDK works on pages of https:// and of localhost only: open this one by https://.";

const NO_WEBRTC = "This browser lacks WebRTC, by which captions come: take another one.";

/** Why no channel can be joined from here; empty where one can be. */
export async function obstacle(appId: string | null): Promise<string> {
  if (!appId) {
    return NO_APP_ID;
  }
  if (!isSecureContext) {
    return INSECURE;
  }
  if (!("RTCPeerConnection" in globalThis)) {
    return NO_WEBRTC; // the SDK could not even be loaded
  }
  const { default: sdk } = await import("./sdk.ts"); // 1.6 MB, which nobody else needs
  return sdk.checkSystemRequirements() ? "" : NO_WEBRTC;
}

export class AgoraSource implements CaptionSource {
  readonly #appId: string | null;
  readonly #channel: string;
  readonly #gateway: Gateway;
  readonly #listener: Listener;
  readonly #messages: Messages;
  readonly #uid = 1 + Math.floor(Math.random() * 0xfffffffe); // 0 would have Agora choose one
  #client: IAgoraRTCClient | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(appId: string | null, channel: string, gateway: Gateway, listener: Listener) {
    this.#appId = appId;
    this.#channel = channel;
    this.#gateway = gateway;
    this.#listener = listener;
    this.#messages = new Messages(listener);
    this.#begin().catch((error: unknown) => listener.problem(explained(error)));
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#messages.close();
    this.#client?.leave().catch(() => {}); // nobody is left to be told
  }

  async #begin(): Promise<void> {
    this.#listener.connection("connecting");
    const problem = await obstacle(this.#appId);
    const { default: sdk } = await import("./sdk.ts");
    if (this.#closed) {
      return;
    }
    if (problem) {
      this.#listener.problem(problem);
      this.#listener.connection("disconnected");
      return;
    }
    sdk.setLogLevel(3); // warnings
    // The audience of a live channel: a task ends once a channel has no host, and who reads along must not count.
    const client = sdk.createClient({ mode: "live", role: "audience", codec: "vp8" });
    this.#client = client;
    client.on("connection-state-change", (state, _before, reason) => {
      if (!this.#closed) {
        this.#listener.connection(CONNECTIONS[state]);
        if (state === "DISCONNECTED") {
          this.#listener.problem(`Agora has closed the connection: ${reason}. Reload the page to join again.`);
        }
      }
    });
    client.on("stream-message", (_: unknown, payload: Uint8Array<ArrayBuffer>) => this.#messages.take(payload));
    client.on("token-privilege-will-expire", () => void this.#renew(client));
    client.on("token-privilege-did-expire", () => void this.#join(client));
    await this.#join(client);
  }

  async #join(client: IAgoraRTCClient): Promise<void> {
    try {
      const token = await this.#gateway.token(this.#channel, this.#uid);
      if (!this.#closed) {
        await client.join(this.#appId ?? "", this.#channel, token, this.#uid);
      }
    } catch (error) {
      this.#again(error, () => void this.#join(client));
    }
  }

  async #renew(client: IAgoraRTCClient): Promise<void> {
    try {
      await client.renewToken(await this.#gateway.token(this.#channel, this.#uid));
    } catch (error) {
      this.#again(error, () => void this.#renew(client));
    }
  }

  #again(error: unknown, retry: () => void): void {
    if (this.#closed) {
      return;
    }
    const code = (error as { code?: string }).code; // AgoraRTCException
    this.#listener.problem(code ? `Agora lets nobody into the channel: ${code}. It is tried again.` : explained(error));
    this.#listener.connection("reconnecting");
    clearTimeout(this.#retry);
    this.#retry = setTimeout(retry, RETRY);
  }
}
