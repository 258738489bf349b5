const { io } = require("socket.io-client");
const API_KEY = "YOUR_API_KEY";
const BASE_URL = "https://cantonese.ai";
// Connect to the real-time STT socket
const socket = io(BASE_URL, {
path: "/api/stt-realtime-socket",
extraHeaders: {
"x-api-key": API_KEY,
},
});
socket.on("connect", () => {
console.log("Connected to real-time STT");
// Start a transcription session
socket.emit("start-session", { sampleRate: 16000 });
});
socket.on("session-started", () => {
console.log("Session started, ready to receive audio");
// Send audio chunks (base64-encoded PCM)
// socket.emit("audio-chunk", {
// audio_base_64: "<base64-encoded-pcm-audio>",
// sample_rate: 16000,
// });
});
socket.on("transcript-message", (message) => {
switch (message.message_type) {
case "partial_transcript":
process.stdout.write(`\rPartial: ${message.text}`);
break;
case "committed_transcript":
console.log(`\nFinal: ${message.text}`);
break;
}
});
socket.on("session-error", (data) => {
console.error("Session error:", data.error);
});
socket.on("session-closed", (data) => {
console.log("Session closed:", data.code, data.reason);
});
// To stop the session:
// socket.emit("stop-session");
// socket.disconnect();
