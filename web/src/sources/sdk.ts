/** Agora's SDK, by itself: `import()` of it makes a file of its own that is fetched only when it is needed. */

export { default } from "agora-rtc-sdk-ng";
