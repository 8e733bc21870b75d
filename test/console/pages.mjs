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
  { name: "model", path: "models/parkinsons", ready: "text=roc_auc.low = ", says: ["In production since", "consent withdrawn", "holds"] },
  { name: "model-metrics", path: "models/parkinsons/metrics?version=2&with=1", ready: "svg.plot", says: ["ROC AUC", "version 1", "than v1"] },
  { name: "model-curves", path: "models/parkinsons/curves?version=2&with=1", ready: "svg.plot", says: ["Calibration", "Precision and recall"] },
  {
    name: "model-threshold",
    path: "models/parkinsons/threshold",
    ready: "svg.plot",
    act: async (page) => {
      await page.getByRole("slider").focus();
      for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight");
    },
    says: ["0.55", "Sensitivity"],
  },
  { name: "model-features", path: "models/parkinsons/features", ready: "svg.plot", says: ["putamen_ratio"] },
  { name: "model-slices", path: "models/parkinsons/slices", ready: "svg.plot", says: ["sex: F", "site: north"] },
  { name: "model-leakage", path: "models/parkinsons/leakage", ready: "text=no finding", says: ["No subject stands on both sides"] },
  { name: "model-training", path: "models/parkinsons/training?version=2&with=1", ready: "text=Trainings of version 2", says: ["fathom.dataset.version", "differs"] },
  { name: "model-provenance", path: "models/parkinsons/provenance", ready: "text=inbox/voice/north-1.csv", says: ["consents v2", "environment"] },
  { name: "model-versions", path: "models/parkinsons/versions", ready: "text=Archived", says: ["replaced by version 2", "cohort v1"] },
  {
    name: "model-rollback",
    path: "models/parkinsons?version=1",
    ready: "text=Archived",
    act: async (page) => {
      await page.getByRole("button", { name: "Roll back to it" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).waitFor();
    },
    says: ["in place of version 2", "Endpoint parkinsons switches to it"],
  },
  { name: "endpoint", path: "endpoints/parkinsons", ready: "text=parkinsons v2", says: ["Replicas", "Captures"] },
  {
    name: "endpoint-try",
    path: "endpoints/parkinsons/try",
    ready: "text=jitter",
    act: async (page) => {
      await page.getByRole("button", { name: "Predict" }).click();
      await page.waitForSelector("text=By version 2");
    },
    says: ["class 1", "curl --cacert"],
  },
  { name: "endpoint-captured", path: "endpoints/parkinsons/captured", ready: "text=parkinsons-requests", says: ["request"] },
  { name: "report", path: "reports/findings", ready: "text=cohort v2", says: ["Print or PDF"] },
  { name: "workspace", path: "about", ready: "text=Who runs, who waits and why", says: ["of 8 cores"] },
  { name: "workspace-members", path: "about/members", ready: "text=group data-stewards", says: ["steward", "What you may do here"] },
  { name: "workspace-separation", path: "about/separation", ready: "text=default-deny", says: ["NetworkPolicies"] },
  { name: "workspace-audit", path: "about/audit", ready: "text=get models", says: ["allowed"] },
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
