// SPDX-License-Identifier: Apache-2.0

// node walk.mjs live|pages: walks through the console and prints a finding a line; console_test.go starts it. Pictures go to
// screenshots/, which git ignores: look at them.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { launch, login, looks, shot, violations, visit } from "./browser.mjs";
import { pages } from "./pages.mjs";

const { FATHOM, DOORS, VIEWER, INBOX, WORKSPACE } = process.env;
const folder = process.env.SCREENSHOTS ?? new URL("screenshots", import.meta.url).pathname;
const run = promisify(execFile);
const patience = 60_000;
// Pods that start change the machine's network, and Chromium then drops what it loads; the console asks again by itself.
const expected = [/ERR_NETWORK_CHANGED/];

const print = (finding) => console.log(JSON.stringify(finding));

/** One finding: what was thrown is why it failed. */
async function check(name, body) {
  try {
    print({ name, note: (await body()) ?? "" });
  } catch (e) {
    print({ name, failed: String(e?.message ?? e).slice(0, 3000) });
  }
}

async function ownerLink() {
  const { stdout } = await run(FATHOM, ["open"]);
  return stdout.match(/https:\S+/)[0];
}

async function viewerLink() {
  const { stdout } = await run("curl", ["-sk", "-X", "POST", "-H", `Authorization: Bearer ${VIEWER}`, `${DOORS}/api/sessions`]);
  return DOORS + JSON.parse(stdout).path;
}

const at = (path) => `${DOORS}/ui/workspaces/${WORKSPACE}/${path}`;

function unexpected(problems) {
  return problems.splice(0).filter((p) => !expected.some((e) => e.test(p)));
}

/** The graph turns ready before one's eyes, without being loaded again. */
async function live(browser) {
  await check("live: states change as they happen", async () => {
    const { page, context } = await login(browser, ownerLink, "light");
    await visit(page, at("graph"));
    await page.waitForSelector('[data-id="Dataset/cohort"]', { timeout: patience });
    await page.evaluate(() => {
      window.notLoadedAgain = true;
    });
    await shot(page, folder, "graph-waiting-light");
    await run(FATHOM, ["put", "-n", WORKSPACE, INBOX, "inbox"]);
    const seen = new Set();
    const end = Date.now() + 5 * patience;
    while (Date.now() < end) {
      const label = await page.getAttribute('[data-id="Dataset/voice"]', "aria-label");
      for (const word of ["Waiting", "Failed", "Invalid", "Running", "Ready"]) if (label?.includes(word)) seen.add(word);
      if (seen.has("Running") && !seen.has("pictured")) {
        seen.add("pictured");
        await shot(page, folder, "graph-running-light");
      }
      if (label?.includes("version 1") && seen.has("Ready")) break;
      await page.waitForTimeout(100);
    }
    if (!seen.has("Ready") || !(await page.evaluate(() => window.notLoadedAgain))) throw new Error(`dataset voice was seen as ${[...seen]}`);
    await context.close();
    return `seen: ${[...seen].join(", ")}`;
  });
}

async function everyPage(browser, look) {
  const { page, context, problems } = await login(browser, ownerLink, look);
  for (const p of pages) {
    await check(`${look}: ${p.name}`, async () => {
      await visit(page, at(p.path));
      await page.waitForSelector(p.ready, { timeout: patience });
      if (p.act && !(look === "phone" && p.name === "search")) await p.act(page);
      await page.waitForTimeout(250); // lets what moves come to rest, for the picture
      await shot(page, folder, `${p.name}-${look}`);
      const text = await page.evaluate(() => document.body.innerText + [...document.querySelectorAll("[aria-label]")].map((e) => e.ariaLabel).join("\n"));
      const missing = p.says.filter((s) => !text.includes(s));
      if (missing.length) throw new Error(`the page does not say ${missing.join(" nor ")}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) throw new Error(`the page is ${wide} pixels wider than the screen`);
      const found = [...unexpected(problems), ...(await violations(page))];
      if (found.length) throw new Error(found.slice(0, 10).join("\n"));
    });
  }
  await context.close();
}

/** Who may less is offered less, and what is refused says so. */
async function visitor(browser) {
  const { page, context, problems } = await login(browser, viewerLink, "light");
  await check("visitor: identified rows are refused with a reason", async () => {
    await visit(page, at("datasets/consents/columns"));
    await page.waitForSelector("text=Not for you", { timeout: patience });
    await shot(page, folder, "refused-light");
    const text = await page.evaluate(() => document.body.innerText);
    if (!text.includes("datasets/identified")) throw new Error("it does not say what would be needed");
  });
  await check("visitor: other rows are shown", async () => {
    await visit(page, at("datasets/voice/sample"));
    await page.waitForSelector("text=All 231 rows", { timeout: patience });
  });
  await check("visitor: a change is refused by the server, whatever a page offers", async () => {
    const status = await page.evaluate(async (ws) => {
      const answer = await fetch(`/api/v1/workspaces/${ws}/datasets/voice/retry`, { method: "POST", headers: { "X-Fathom-Console": "1" } });
      return answer.status;
    }, WORKSPACE);
    if (status !== 403) throw new Error(`answered ${status}`);
  });
  await check("visitor: a request without the console's header has no session", async () => {
    const status = await page.evaluate(async (ws) => (await fetch(`/api/v1/workspaces/${ws}/datasets/voice/retry`, { method: "POST" })).status, WORKSPACE);
    if (status !== 401) throw new Error(`answered ${status}`);
  });
  unexpected(problems);
  await context.close();
}

/** What a mouse does, keys do too. */
async function keyboard(browser) {
  const { page, context } = await login(browser, ownerLink, "light");
  await check("keyboard: search opens a page", async () => {
    await visit(page, at("graph"));
    await page.waitForSelector('[data-id="Dataset/cohort"]', { timeout: patience });
    await page.keyboard.press("Control+k");
    await page.getByPlaceholder("Search pages and objects").waitFor();
    await page.keyboard.type("device-logs");
    await page.waitForSelector(".mantine-Spotlight-action");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/datasets/device-logs");
  });
  await check("keyboard: a node of the graph is chosen with Enter", async () => {
    await visit(page, at("graph"));
    await page.waitForSelector('[data-id="Dataset/cohort"]', { timeout: patience });
    await page.focus('[data-id="Dataset/cohort"]');
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=What happens next");
  });
  await check("keyboard: time travel by arrow keys, and back", async () => {
    await visit(page, at("graph"));
    const slider = page.getByRole("slider", { name: "Time" });
    await slider.focus();
    await page.keyboard.press("Home");
    await page.waitForSelector("text=Back to now");
    await page.waitForSelector("text=not yet");
    await shot(page, folder, "graph-past-light");
    await page.keyboard.press("End");
    await page.waitForSelector("text=Back to now", { state: "detached" });
  });
  await check("keyboard: a statement runs with Ctrl Enter", async () => {
    await visit(page, at("sql"));
    await page.click(".cm-content");
    await page.keyboard.type("select count(*) as patients from scan_features");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+Enter");
    await page.waitForSelector('[role="cell"]:has-text("77")', { timeout: patience });
  });
  await context.close();
}

/** Ten thousand rows: only what is in view is drawn, and scrolling keeps up. */
async function many(browser) {
  const { page, context } = await login(browser, ownerLink, "light");
  await check("many: 10,000 rows are drawn as they come into view", async () => {
    await visit(page, at("sql"));
    await page.click(".cm-content");
    await page.keyboard.type("select range as n, range * 2 as twice from range(10000)");
    await page.keyboard.press("Escape");
    await page.getByLabel("Rows at most").first().click();
    await page.getByRole("option", { name: "at most 10,000 rows" }).click();
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.waitForSelector('[role="cell"]:has-text("1")', { timeout: patience });
    const figures = await page.evaluate(async () => {
      const table = document.querySelector('[role="table"][aria-label="Answer"]');
      const frames = [];
      let last = performance.now();
      for (let i = 0; i <= 100; i++) {
        table.scrollTop = (table.scrollHeight * i) / 100;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - last);
        last = performance.now();
      }
      await new Promise((done) => setTimeout(done, 200));
      frames.sort((a, b) => a - b);
      return { median: frames[50], worst: frames.at(-1), rows: table.querySelectorAll('[role="row"]').length, text: table.innerText };
    });
    if (figures.rows > 200) throw new Error(`${figures.rows} rows are drawn at once`);
    if (!figures.text.includes("9999")) throw new Error("the last row is not shown at the end");
    return `frame of scrolling: median ${figures.median.toFixed(1)} ms, worst ${figures.worst.toFixed(1)} ms; ${figures.rows} rows in the document`;
  });
  await context.close();
}

/** How soon the graph stands; a figure, not a test, as the machine may be busy. */
async function firstView(browser) {
  const { page, context } = await login(browser, ownerLink, "light");
  await check("first view", async () => {
    const times = [];
    for (const cold of [true, false, false, false, false]) {
      const fresh = cold ? await login(browser, ownerLink, "light") : { page, context: undefined };
      const begin = Date.now();
      await visit(fresh.page, at("graph"));
      await fresh.page.waitForSelector('[data-id="Endpoint/parkinsons"]', { timeout: patience });
      times.push(Date.now() - begin);
      await fresh.context?.close();
    }
    return `until the graph is drawn, ms: ${times.join(", ")}`;
  });
  await context.close();
}

const browser = await launch();
const part = process.argv[2];
if (part === "live") await live(browser);
if (part === "pages") {
  for (const look of Object.keys(looks)) await everyPage(browser, look);
  await visitor(browser);
  await keyboard(browser);
  await many(browser);
  await firstView(browser);
}
await browser.close();
print({ name: `${part} is done` });
