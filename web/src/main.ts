/** The captions page: its form, and what goes on between the gateway, a source of captions and the list. */

import { type Feed, fileFeed, microphoneFeed } from "./audio.ts";
import { CallFailed, type Config, explained, Gateway } from "./gateway.ts";
import { poll, type Reply } from "./poll.ts";
import { CONNECTIONS, type Event, headline, IDLE, next, type Run, remembered, type Started } from "./run.ts";
import { type CaptionSource, obstacle, open } from "./sources/source.ts";
import { Speech } from "./speech.ts";
import { Transcript } from "./transcript.ts";
import { CaptionList } from "./view.ts";

/** The worklet's file, whose name the build knows. */
declare const WORKLET: string;

const UTTERANCES = 300;
const STARTED = "captions.started";
const KEY = "captions.key";

function at<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) {
    throw new Error(`the page has no ${id}`);
  }
  return found as T;
}

const form = at<HTMLFormElement>("controls");
const channel = at<HTMLInputElement>("channel");
const key = at<HTMLInputElement>("key");
const start = at<HTMLButtonElement>("start");
const stop = at<HTMLButtonElement>("stop");
const microphone = at<HTMLButtonElement>("microphone");
const file = at<HTMLInputElement>("file");
const silence = at<HTMLButtonElement>("silence");

const gateway = new Gateway(document.baseURI, () => key.value.trim());
const transcript = new Transcript(UTTERANCES);
const list = new CaptionList(at("captions"), at("list"), at("announcer"), at("newest"));

let run: Run = IDLE;
let source: CaptionSource | undefined;
let polling: AbortController | undefined;
let speech: Speech | undefined;
let lost = false;

function dispatch(event: Event): void {
  const before = run;
  run = next(run, event);
  remember(run.started);
  show();
  if (before.started && !run.started) {
    leave();
  }
}

function remember(started: Started | null): void {
  if (started) {
    sessionStorage.setItem(STARTED, JSON.stringify(started));
  } else {
    sessionStorage.removeItem(STARTED);
  }
}

function show(): void {
  const state = at("state");
  state.dataset["state"] = run.phase === "running" ? run.connection : run.phase;
  state.textContent = headline(run);
  say(run.unanswered || run.notice);
  const focused = document.activeElement;
  start.disabled = run.phase !== "idle";
  stop.disabled = run.phase !== "running";
  channel.readOnly = run.phase !== "idle";
  handOver(focused);
}

/** The keyboard's focus, which a button loses that goes grey, goes to the one that can be pressed next. */
function handOver(focused: Element | null): void {
  const nowhere = focused === start || focused === stop || focused === document.body;
  lost = nowhere && (lost || (focused !== document.body && (focused as HTMLButtonElement).disabled));
  const button = [stop, start].find((each) => !each.disabled);
  if (lost && button) {
    lost = false;
    button.focus();
  }
}

function say(notice: string, where = "notice"): void {
  const place = at(where);
  if (place.textContent !== notice) {
    place.textContent = notice;
  }
}

/** Ask for the key, where the configuration did not say that one is needed. */
function askForKey(): void {
  at("key-field").hidden = false;
}

/** What has failed and what to do about it, which for a key is asked for right here. */
function complaint(error: unknown): string {
  if (error instanceof CallFailed && error.status === 401) {
    askForKey();
  }
  return explained(error);
}

function failed(error: unknown): void {
  dispatch({ kind: "failed", notice: complaint(error) });
}

async function begin(config: Config): Promise<void> {
  sessionStorage.setItem(KEY, key.value.trim());
  dispatch({ kind: "start" });
  const name = channel.value.trim();
  try {
    const problem = await obstacle(config);
    if (problem) {
      dispatch({ kind: "failed", notice: problem }); // nobody would see what is billed
      return;
    }
    const ids = await gateway.start(name);
    clear();
    await follow(config, { channel: name, ...ids });
  } catch (error) {
    failed(error);
  }
}

/** Show the captions of a transcription, and ask how it does. */
async function follow(config: Config, started: Started): Promise<void> {
  dispatch({ kind: "started", started });
  const { signal } = (polling = new AbortController());
  void poll(() => query(started, signal), signal);
  const opened = await open(config, started.channel, gateway, {
    caption: take,
    connection: (connection) => dispatch({ kind: "connection", connection }),
    problem: (notice) => dispatch({ kind: "problem", notice }),
  });
  if (run.started === started) {
    source = opened;
  } else {
    opened.close(); // it has been stopped meanwhile
  }
}

/** Hear no more of the channel. */
function leave(): void {
  polling?.abort();
  source?.close();
  source = undefined;
  for (const each of transcript.close()) {
    list.draw(each);
  }
}

/** Ask how a transcription does. */
async function query(started: Started, gone: AbortSignal): Promise<Reply> {
  let failure: unknown;
  try {
    await gateway.query(started);
  } catch (error) {
    failure = error;
  }
  const known = failure instanceof CallFailed ? failure : { status: failure ? 0 : 200, retryAfter: 0 };
  if (!gone.aborted) {
    dispatch({ kind: "queried", status: known.status, notice: failure ? complaint(failure) : "" });
  }
  return known;
}

async function end(): Promise<void> {
  if (!run.started) {
    return;
  }
  const { started } = run;
  dispatch({ kind: "stop" });
  try {
    await gateway.stop(started);
    dispatch({ kind: "stopped" });
  } catch (error) {
    failed(error);
  }
}

function take(caption: Parameters<Transcript["apply"]>[0]): void {
  const change = transcript.apply(caption);
  if (change) {
    at("empty").hidden = true;
    list.show(change);
  }
}

function clear(): void {
  transcript.clear();
  list.clear();
  at("empty").hidden = false;
}

async function speak(url: string, feeds: () => Promise<Feed>): Promise<void> {
  const complain = (text: string): void => say(text, "speech-notice");
  complain("");
  sounding(true);
  try {
    const feed = await feeds();
    speech = new Speech(url, key.value.trim(), feed, {
      caption: take,
      connection: (connection) => {
        at("speech-state").textContent = connection === "disconnected" ? "" : CONNECTIONS[connection];
        if (connection === "live") {
          complain(""); // what was wrong is over
        }
      },
      problem: complain,
      refused: askForKey,
    });
    await speech.done;
  } catch (error) {
    complain(soundProblem(error));
  } finally {
    speech = undefined;
    sounding(false);
    file.value = "";
    for (const each of transcript.close("you")) {
      list.draw(each);
    }
  }
}

/** One sound at a time; the keyboard's focus goes where the next press may be wanted. */
function sounding(on: boolean): void {
  const focused = document.activeElement;
  silence.hidden = !on;
  if (on && (focused === microphone || focused === file)) {
    silence.focus();
  }
  microphone.disabled = on;
  file.disabled = on;
  if (!on && focused === silence) {
    microphone.focus();
  }
}

function soundProblem(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return "The browser keeps the microphone from this page: allow it beside the address, and try again.";
    case "NotFoundError":
      return "There is no microphone: plug one in, or take a sound file.";
    case "EncodingError":
      return "The browser cannot decode this file: take a WAV, MP3, Ogg or FLAC file.";
    default:
      return `There is no sound: ${error instanceof Error ? error.message : error}.`;
  }
}

async function main(): Promise<void> {
  channel.value = new URLSearchParams(location.search).get("channel") ?? "";
  key.value = sessionStorage.getItem(KEY) ?? "";
  show();
  let config: Config;
  try {
    config = await gateway.config();
  } catch (error) {
    say(`${explained(error)} Then reload the page.`);
    return;
  }
  at("key-field").hidden = !config.keyRequired;
  key.required = config.keyRequired;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void begin(config);
  });
  stop.addEventListener("click", () => void end());
  const url = config.sttUrl;
  if (url) {
    at("speech").hidden = false;
    silence.addEventListener("click", () => speech?.stop());
    microphone.addEventListener("click", () => void speak(url, () => microphoneFeed(WORKLET)));
    file.addEventListener("change", () => {
      const chosen = file.files?.[0];
      if (chosen) {
        void speak(url, () => fileFeed(chosen));
      }
    });
  }
  const started = remembered(sessionStorage.getItem(STARTED));
  form.dataset["ready"] = "true";
  if (started) {
    channel.value = started.channel;
    await follow(config, started).catch(failed);
  }
}

void main();
