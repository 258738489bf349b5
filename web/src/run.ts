/** Where a transcription stands that this page has started: decisions only, no DOM, no calls. */

import type { Ids } from "./gateway.ts";

/** What the page shows of a connection to the captions. */
export type Connection = "disconnected" | "connecting" | "live" | "reconnecting";

/** A transcription that has been started here, also before a reload. */
export interface Started extends Ids {
  readonly channel: string;
}

export interface Run {
  readonly phase: "idle" | "starting" | "running" | "stopping";
  readonly started: Started | null;
  readonly connection: Connection;
  /** What went wrong, or has happened by itself, and what to do; empty where nothing has. */
  readonly notice: string;
  /** Why the last query has not been answered well, and what to do; empty where it has. */
  readonly unanswered: string;
}

export type Event =
  | { readonly kind: "start" }
  | { readonly kind: "started"; readonly started: Started }
  | { readonly kind: "stop" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly notice: string }
  | { readonly kind: "queried"; readonly status: number; readonly notice: string }
  | { readonly kind: "connection"; readonly connection: Connection }
  | { readonly kind: "problem"; readonly notice: string };

export const IDLE: Run = { phase: "idle", started: null, connection: "disconnected", notice: "", unanswered: "" };

/** A connection in a reader's words. */
export const CONNECTIONS: Readonly<Record<Connection, string>> = {
  disconnected: "Not connected",
  connecting: "Connecting …",
  live: "Live",
  reconnecting: "Reconnecting …",
};

export const ENDED = "The transcription has ended by itself. Start it again if there is more to come.";
export const UNKNOWN =
  "The gateway does not know this transcription any more: its key has changed. Start the channel again to stop it from here.";
export const ASKED_AGAIN = "Captions go on meanwhile, and the gateway is asked again.";

/** What follows from an event. */
export function next(run: Run, event: Event): Run {
  switch (event.kind) {
    case "start":
      return { ...IDLE, phase: "starting" };
    case "started":
      return { ...run, phase: "running", started: event.started, notice: "" };
    case "stop":
      return { ...run, phase: "stopping", notice: "", unanswered: "" };
    case "stopped":
      return IDLE;
    case "failed":
      // A failed stop leaves the transcription as it was: it can be stopped again.
      return { ...run, phase: run.started ? "running" : "idle", notice: event.notice };
    case "queried":
      return run.phase === "running" ? queried(run, event.status, event.notice) : run;
    case "connection": {
      // What a source has said was wrong is over once it is live again.
      const mended = event.connection === "live" && run.connection !== "live";
      return { ...run, connection: event.connection, notice: mended ? "" : run.notice };
    }
    case "problem":
      return { ...run, notice: event.notice };
  }
}

/** What the page's head says: only what has an end is "Stopped". */
export function headline(run: Run): string {
  switch (run.phase) {
    case "idle":
      return "Stopped";
    case "starting":
      return "Starting …";
    case "running":
      return CONNECTIONS[run.connection];
    case "stopping":
      return "Stopping …";
  }
}

/** What a query's HTTP status says; 0 for no answer. */
function queried(run: Run, status: number, notice: string): Run {
  switch (status) {
    case 200:
      return { ...run, unanswered: "" };
    case 404:
      return { ...IDLE, notice: ENDED };
    case 403:
      return { ...IDLE, notice: UNKNOWN };
    default:
      return { ...run, unanswered: `${notice} ${ASKED_AGAIN}` };
  }
}

/** The transcription that an earlier visit in this tab has left running; null where there is none. */
export function remembered(text: string | null): Started | null {
  if (!text) {
    return null;
  }
  try {
    const value = JSON.parse(text) as Partial<Started> | null;
    const { channel, taskId, builderToken } = value ?? {};
    const whole = [channel, taskId, builderToken].every((each) => typeof each === "string" && each);
    return whole ? (value as Started) : null;
  } catch {
    return null;
  }
}
