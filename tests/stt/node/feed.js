// Loaded before client.js: hands its socket the audio of a WAV file, as a microphone would, and says on standard error
// what the client itself does not. AUDIO: raw samples; RATE: of them; TRANSPORTS: JSON list; BROWSER: no headers with
// the WebSocket, as of browsers.
"use strict";

const fs = require("node:fs");
const path = require.resolve("socket.io-client");
const library = require(path);

const CHUNK_SECONDS = 0.1;
let timer;
const rate = Number(process.env.RATE ?? 16000);

function io(url, options) {
  const socket = library.io(url, {
    ...options,
    ...(process.env.TRANSPORTS ? { transports: JSON.parse(process.env.TRANSPORTS) } : {}),
    ...(process.env.BROWSER ? { transportOptions: { websocket: { extraHeaders: {} } } } : {}),
  });
  socket.io.on("open", () => {
    console.error("transport", socket.io.engine.transport.name);
    socket.io.engine.on("upgrade", (transport) => console.error("transport", transport.name));
  });
  socket.on("connect_error", (error) => {
    const said = String(error.description?.message ?? error.description);
    console.error("refused", said);
    if (said.includes("401")) socket.disconnect();
  });
  socket.on("session-started", () => feed(socket));
  socket.on("session-closed", ({ code }) => {
    clearInterval(timer);
    if (code === 1000) socket.disconnect();
  });
  return socket;
}

function feed(socket) {
  const audio = fs.readFileSync(process.env.AUDIO);
  const size = Math.round(rate * CHUNK_SECONDS) * 2;
  let at = 0;
  timer = setInterval(() => {
    if (at < audio.length) {
      socket.emit("audio-chunk", {
        audio_base_64: audio.subarray(at, at + size).toString("base64"),
        sample_rate: rate,
      });
      at += size;
    } else {
      clearInterval(timer);
      socket.emit("stop-session");
    }
  }, CHUNK_SECONDS * 1000);
}

require.cache[path].exports = { ...library, io };
