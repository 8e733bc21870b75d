// SPDX-License-Identifier: Apache-2.0

/** The kinds that have pages, in the order of the navigation. */
export const sections = [
  { kind: "Dataset", title: "Datasets", path: "datasets" },
  { kind: "Model", title: "Models", path: "models" },
  { kind: "Endpoint", title: "Endpoints", path: "endpoints" },
  { kind: "Report", title: "Reports", path: "reports" },
] as const;

const folders: Record<string, string> = { ...Object.fromEntries(sections.map((s) => [s.kind, s.path])), Run: "runs" };

/** Where an object's page is. Files are shown on the graph. */
export function pathOf(workspace: string, kind: string, name: string): string {
  const folder = folders[kind];
  const base = `/workspaces/${workspace}`;
  return folder
    ? `${base}/${folder}/${encodeURIComponent(name)}`
    : `${base}/graph?object=${encodeURIComponent(`${kind}/${name}`)}`;
}
