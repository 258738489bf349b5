/** The licences of all that is in the bundles, which their authors want to go with them. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What is inside of a package's own bundle, and so in no list of esbuild's: found by reading that bundle. */
const INSIDE: Readonly<Record<string, readonly string[]>> = {
  "agora-rtc-sdk-ng": ["axios", "formdata-polyfill", "pako", "sdp", "ua-parser-js", "webrtc-adapter"],
};

const LINE = `\n\n${"-".repeat(80)}\n\n`;

/**
 * Collect them.
 *
 * @param root The folder that has `node_modules`, and in `licences` the texts that packages do not bring themselves.
 * @param inputs The files that are bundled, as esbuild names them.
 * @throws {Error} A package has no text: somebody has to look what it is under.
 */
export function licences(root: string, inputs: readonly string[]): string {
  const names = new Set(inputs.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []));
  const texts = [...names].sort().flatMap((name) => {
    const { version, license } = JSON.parse(readFileSync(join(root, "node_modules", name, "package.json"), "utf8"));
    const bundles = inputs.filter((path) => path.startsWith(`node_modules/${name}/`));
    // What a bundler has set aside for a file, as webpack does.
    const aside = bundles.map((path) => join(root, `${path}.LICENSE.txt`)).filter((path) => existsSync(path));
    return [
      [`${name} ${version}: ${license}`, ...own(root, name), ...aside.map(read)].join("\n\n"),
      ...(INSIDE[name] ?? []).map((each) => [`${each}, in ${name}`, ...own(root, each)].join("\n\n")),
    ];
  });
  return texts.join(LINE);
}

/** The texts of a package. */
function own(root: string, name: string): string[] {
  const folder = join(root, "node_modules", name);
  const brought = readdirSync(folder).map((each) => join(folder, each));
  const written = [join(root, "licences", `${name}.txt`)].filter((path) => existsSync(path));
  const texts = [...brought.filter((path) => /\/licen[cs]e[^/]*$/i.test(path)), ...written];
  if (!texts.length) {
    throw new Error(`${name} brings no text of its licence: find it, and write it into licences/${name}.txt`);
  }
  return [...texts, ...brought.filter((path) => /\/notice[^/]*$/i.test(path))].map(read);
}

function read(path: string): string {
  return readFileSync(path, "utf8").trim();
}
