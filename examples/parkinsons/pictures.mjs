// SPDX-License-Identifier: Apache-2.0

// Takes the pictures of README.md from a running Fathom that has made the study (`make demo`): `make pictures`.
//   node pictures.mjs <folder of fathom> <folder of the pictures>
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launch, login } from "../../test/console/browser.mjs";

const [bin, out] = process.argv.slice(2);
const workspace = "/ui/workspaces/neurology";
const pictures = [
  { name: "graph", path: `${workspace}/graph`, width: 1280, height: 720 },
  { name: "model", path: `${workspace}/models/parkinsons`, width: 1100, height: 860 },
  { name: "report", path: `${workspace}/reports/findings/index.html`, width: 1100, height: 860 },
];

mkdirSync(out, { recursive: true });
const browser = await launch();
try {
  for (const p of pictures) {
    const link = execFileSync(join(bin, "fathom"), ["open", p.path]).toString().trim();
    const { context, page } = await login(browser, link, "light");
    await page.setViewportSize({ width: p.width, height: p.height });
    await page.goto(new URL(p.path, link).href);
    await page.waitForFunction(() => document.fonts.status === "loaded" && !document.querySelector("[aria-busy=true]"));
    await page.waitForTimeout(Number(process.env.SETTLE ?? 2500)); // curves and the graph draw themselves
    await page.screenshot({ path: join(out, `${p.name}.png`) });
    console.log(join(out, `${p.name}.png`));
    await context.close();
  }
} finally {
  await browser.close();
}
