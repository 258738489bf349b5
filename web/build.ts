/** Bundles the page into the gateway's package: `make page`. Names carry a hash, so that browsers may keep files for good. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { type BuildOptions, build, type Metafile } from "esbuild";

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

/** The licences of all that is in the bundles, which their authors want to go with them. */
function licences(...metafiles: Metafile[]): string {
  const inputs = metafiles.flatMap((each) => Object.keys(each.inputs));
  const packages = new Set(inputs.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []));
  const texts = [...packages].sort().map((name) => {
    const folder = join(HERE, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = readdirSync(folder).filter((each) => /^(licen[cs]e|notice)/i.test(each));
    return [`${name} ${version}: ${license}`, ...files.map((each) => readFileSync(join(folder, each), "utf8"))].join(
      "\n\n",
    );
  });
  return texts.join(`\n\n${"-".repeat(80)}\n\n`);
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
writeFileSync(join(OUT, "licences.txt"), licences(worklet, metafile));
