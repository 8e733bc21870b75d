// SPDX-License-Identifier: Apache-2.0

// Every page of the console, with what it must show of the study. `ready` is a selector that appears once the page is whole;
// `act` does something before the page is judged.
const q = encodeURIComponent;

export const pages = [
  { name: "graph", path: "graph", ready: '[data-id="Endpoint/parkinsons"]', says: ["cohort", "231 rows"] },
  { name: "graph-model", path: `graph?object=${q("Model/parkinsons")}`, ready: "text=What happens next", says: ["all rules hold", "Open its page"] },
  { name: "graph-version", path: `graph?object=${q("Model/parkinsons")}&version=1`, ready: "text=version 1 was used", says: ["version 1 was used"] },
  { name: "objects", path: "objects", ready: "text=What it says", says: ["device-logs", "Ready"] },
  { name: "runs", path: "runs", ready: "text=Succeeded", says: ["Evaluate", "model parkinsons"] },
  { name: "dataset", path: "datasets/voice", ready: "text=How it is made", says: ["patient_id", "inbox/voice/*.csv", "+57 since version 1", "3 of 3"] },
  { name: "dataset-columns", path: "datasets/voice/columns", ready: "svg.bars", says: ["jitter", "Mean ± SD"] },
  {
    name: "dataset-compare",
    path: "datasets/voice/columns",
    ready: "svg.bars",
    act: async (page) => {
      await page.getByRole("combobox", { name: "Compare with another version" }).or(page.getByLabel("Compare with another version")).first().click();
      await page.getByRole("option", { name: "version 1" }).click();
      await page.waitForSelector("text=/small|some|large/");
    },
    says: ["against 1"],
  },
  { name: "dataset-column", path: "datasets/voice/columns?column=age", ready: ".recharts-bar-rectangle", says: ["median 66", "standard deviation"] },
  { name: "dataset-rows", path: "datasets/voice/sample", ready: "text=All 231 rows", says: ["visit_date"] },
  { name: "dataset-checks", path: "datasets/voice/checks", ready: "text=v2", says: ["jitter"] },
  { name: "dataset-versions", path: "datasets/voice/versions", ready: "text=58 are in both", says: ["+57", "+19", "3 files are new"] },
  { name: "dataset-excluded", path: "datasets/voice/excluded", ready: "text=consent withdrawn", says: ["denied", "no consent"] },
  { name: "dataset-lineage", path: "datasets/cohort/lineage", ready: "text=inbox/voice/", says: ["scan-features v2", "consents-1.ndjson"] },
  {
    name: "sql",
    path: `sql?q=${q("select site, count(*) as n from voice group by 1 order by 1")}&view=chart`,
    ready: ".cm-content",
    act: async (page) => {
      await page.getByRole("button", { name: "Run", exact: true }).click();
      await page.waitForSelector(".recharts-bar-rectangle");
    },
    says: ["3 rows"],
  },
  { name: "nowhere", path: "datasets/nobody", ready: "text=There is no dataset nobody", says: [] },
  {
    name: "search",
    path: "objects",
    ready: "text=What it says",
    act: async (page) => {
      await page.keyboard.press("Control+k");
      await page.getByPlaceholder("Search pages and objects").fill("scan-f");
      await page.waitForSelector(".mantine-Spotlight-action");
    },
    says: ["scan-features"],
  },
];
