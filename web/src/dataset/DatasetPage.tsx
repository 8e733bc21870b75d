// SPDX-License-Identifier: Apache-2.0
import { Group, Select, Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { queries } from "../api/client";
import { useLive, useObject } from "../api/live";
import type { Dataset, DatasetVersion } from "../api/kinds";
import { stateOf } from "../graph/state";
import { when } from "../format";
import { Page } from "../parts/Page";
import { Retry } from "../parts/Retry";
import { KindIcon, StateBadge } from "../parts/State";
import { Answer, Empty, FaultView } from "../parts/Told";
import { Checks } from "./Checks";
import { Columns } from "./Columns";
import { Excluded } from "./Excluded";
import { Lineage } from "./Lineage";
import { Overview } from "./Overview";
import { Sample } from "./Sample";
import { SqlBox } from "./SqlBox";
import { Versions } from "./Versions";

/** What each tab is given: the object, all versions (newest first) and the one that is looked at. */
export interface Looked {
  dataset: Dataset;
  versions: DatasetVersion[];
  version: DatasetVersion;
}

const tabs: { id: string; title: string; needs?: boolean; view: (l: Looked) => React.ReactNode }[] = [
  { id: "overview", title: "Overview", view: (l) => <Overview {...l} /> },
  { id: "columns", title: "Columns", view: (l) => <Columns {...l} /> },
  { id: "sample", title: "Rows", view: (l) => <Sample {...l} /> },
  { id: "checks", title: "Checks", view: (l) => <Checks {...l} /> },
  { id: "versions", title: "Versions", view: (l) => <Versions {...l} /> },
  { id: "excluded", title: "Left out", view: (l) => <Excluded {...l} /> },
  { id: "lineage", title: "Lineage", view: (l) => <Lineage {...l} /> },
  {
    id: "sql",
    title: "SQL",
    view: (l) => <SqlBox start={`select * from ${l.dataset.metadata.name.replaceAll("-", "_")} limit 100`} />,
  },
];

export function Component() {
  const { name = "", tab = "overview" } = useParams();
  const { workspace } = useLive();
  const dataset = useObject("Dataset", name);
  const current = dataset?.status.version ?? 0;
  const versions = useQuery({
    ...queries.versions(workspace, name, current),
    enabled: !!dataset && current > 0,
    placeholderData: (old) => old,
  });
  const [search, setSearch] = useSearchParams();
  const navigate = useNavigate();
  if (!dataset) {
    return (
      <Page title={name}>
        <FaultView
          error={
            new Error(
              `There is no dataset ${name} in workspace ${workspace}. It may have been deleted; versions that were made from it remain.`,
            )
          }
        />
      </Page>
    );
  }
  const told = stateOf(dataset);
  const wanted = Number(search.get("version") ?? 0);
  const all = versions.data?.versions ?? [];
  const version = all.find((v) => v.number === (wanted || current)) ?? all[0];
  return (
    <Page
      title={name}
      before={<KindIcon kind="Dataset" size={22} />}
      actions={
        <Group gap="xs">
          <StateBadge state={told.state} label={told.reason} />
          {told.state === "failed" && <Retry kind="Dataset" name={name} />}
          {all.length > 0 && (
            <Select
              size="xs"
              w={300}
              aria-label="Version"
              data={all.map((v) => ({
                value: String(v.number),
                label: `version ${v.number}${v.number === current ? " (current)" : ""} · ${when(v.created)}`,
              }))}
              value={String(version?.number)}
              allowDeselect={false}
              onChange={(v) =>
                setSearch((s) => {
                  if (v === String(current) || !v) s.delete("version");
                  else s.set("version", v);
                  return s;
                })
              }
            />
          )}
        </Group>
      }
    >
      {current === 0 ? (
        <Empty title="It has no version yet" action={<Retry kind="Dataset" name={name} />}>
          {told.message || "Fathom has not looked at it yet."}
        </Empty>
      ) : (
        <Answer of={versions} what="Reading its versions">
          {() =>
            version && (
              <Tabs
                value={tab}
                keepMounted={false}
                onChange={(t) =>
                  navigate({
                    pathname: `/workspaces/${workspace}/datasets/${name}/${t}`,
                    search: wanted ? `?version=${wanted}` : "",
                  })
                }
              >
                <Tabs.List
                  mb="md"
                  style={{ flexWrap: "nowrap", overflowX: "auto", overflowY: "hidden" }}
                  aria-label={`About dataset ${name}`}
                >
                  {tabs.map((t) => (
                    <Tabs.Tab key={t.id} value={t.id}>
                      {t.title}
                      {t.id === "versions" && all.length > 1 ? ` (${all.length})` : ""}
                    </Tabs.Tab>
                  ))}
                </Tabs.List>
                {tabs.map((t) => (
                  <Tabs.Panel key={t.id} value={t.id}>
                    {t.view({ dataset, versions: all, version })}
                  </Tabs.Panel>
                ))}
              </Tabs>
            )
          }
        </Answer>
      )}
    </Page>
  );
}
