/** Bundles the page into the gateway's package: `make page`. Names carry a hash, so that browsers may keep files for good. */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { type BuildOptions, build, type Metafile } from "esbuild";

import { licences } from "./licences.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const OUT = join(HERE, "../operator/agora_transcription/gateway/page");

const OPTIONS = {
  absWorkingDir: HERE,
  outdir: OUT,
  bundle: true,
  minify: true,
  splitting: true,
  format: "esm",
  target: ["chrome120", "firefox121", "safari17.4"],
  entryNames: "assets/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  assetNames: "assets/[name]-[hash]",
  loader: { ".svg": "copy" },
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
} as const satisfies BuildOptions;

/** What an entry has become, as the page calls it: by its name and kind, as `main.js`. */
function outputs(metafile: Metafile): Map<string, string> {
  const found = new Map<string, string>();
  for (const path of Object.keys(metafile.outputs)) {
    const [, name, kind] = /^(.*)-[A-Z0-9]{8}\.(\w+)$/.exec(basename(path)) ?? [];
    found.set(`${name}.${kind}`, `assets/${basename(path)}`);
  }
  return found;
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });

const { metafile: worklet } = await build({ ...OPTIONS, entryPoints: ["src/worklet.ts"] });
const define = { WORKLET: JSON.stringify(outputs(worklet).get("worklet.js")) };
const entryPoints = ["src/main.ts", "src/docs.ts", "style.css", "favicon.svg"];
const { metafile } = await build({ ...OPTIONS, entryPoints, define });

const names = outputs(metafile);
const FILES = { "index.html": "", "docs.html": "captions/" }; // /docs is beside /captions/, not below it
for (const [page, prefix] of Object.entries(FILES)) {
  const html = readFileSync(join(HERE, page), "utf8").replace(/%([\w.]+)%/g, (_, name: string) => {
    const file = names.get(name);
    if (!file) {
      throw new Error(`${page}: there is no ${name}`);
    }
    return prefix + file;
  });
  writeFileSync(join(OUT, page), html);
}
const inputs = [worklet, metafile].flatMap((each) => Object.keys(each.inputs));
writeFileSync(join(OUT, "licences.txt"), licences(HERE, inputs));
