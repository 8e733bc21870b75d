// SPDX-License-Identifier: Apache-2.0

// What the walk through the console needs of a browser: logged in, watched for errors, with axe and screenshots.
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = require("playwright-core");
const axeSource = require("axe-core").source;

const browsers = [process.env.FATHOM_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export const looks = {
  light: { viewport: { width: 1440, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true },
};

export async function launch() {
  const executablePath = browsers.find((b) => b && existsSync(b));
  if (!executablePath) throw new Error("no chromium: install it, or name it in FATHOM_CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
}

/** Opens an address. Pods that start change the machine's network, and Chromium then drops what it loads: it is asked again. */
export async function visit(page, url) {
  for (let left = 5; ; left--) {
    try {
      return await page.goto(typeof url === "function" ? await url() : url);
    } catch (e) {
      if (left === 0 || !String(e).includes("ERR_NETWORK_CHANGED")) throw e;
    }
  }
}

/** A page that is logged in; link makes a link as `fathom open` prints it, which works once. Problems collects what a user would not see but should not happen. */
export async function login(browser, link, look) {
  const context = await browser.newContext({ ...looks[look], ignoreHTTPSErrors: true, reducedMotion: "reduce" });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") problems.push(`${m.type()}: ${m.text()}`);
  });
  page.on("pageerror", (e) => problems.push(`exception: ${e.message}`));
  await visit(page, link);
  await page.waitForURL((u) => !u.pathname.endsWith("/login"), { timeout: 20_000 });
  return { context, page, problems };
}

/** What axe finds, as lines. */
export async function violations(page) {
  // Through the debugger, as the page's policy lets no script in.
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.flatMap((v) => v.nodes.map((n) => `${v.id} (${v.impact}): ${v.help}: ${n.target.join(" ")}: ${n.failureSummary?.split("\n")[1]?.trim()}`));
}

export async function shot(page, folder, name) {
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
