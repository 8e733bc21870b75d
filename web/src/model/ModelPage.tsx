// SPDX-License-Identifier: Apache-2.0
import { Button, Group, Menu, MultiSelect, Select, Tabs } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { about, v1, verbs } from "../api/client";
import { ofKind, useLive, useObject } from "../api/live";
import type { Model, ModelVersion } from "../api/kinds";
import { stageState, stateOf } from "../graph/state";
import { dayOf } from "../format";
import { Page } from "../parts/Page";
import { Retry } from "../parts/Retry";
import { KindIcon, StateBadge } from "../parts/State";
import { Answer, Empty, FaultView, Prose } from "../parts/Told";
import { seriesColours, seriesDashes } from "../parts/Plot";
import { Curves } from "./Curves";
import type { Evaluation } from "./evaluation";
import { Features } from "./Features";
import { Leakage } from "./Leakage";
import { Metrics } from "./Metrics";
import { Overview } from "./Overview";
import { Provenance } from "./Provenance";
import { Slices } from "./Slices";
import { Threshold } from "./Threshold";
import { Training } from "./Training";
import { Versions } from "./Versions";

/** One version that is looked at, with the colour and dashes of its lines. */
export interface Shown {
  version: ModelVersion;
  evaluation: Evaluation;
  name: string;
  colour: string;
  dash?: string;
}

/** What each tab is given: the object, all its versions (newest first), and those looked at: the first, and others beside it. */
export interface Looked {
  model: Model;
  versions: ModelVersion[];
  shown: [Shown, ...Shown[]];
}

const most = 4;

const tabs: { id: string; title: string; only?: Evaluation["task"]; view: (l: Looked) => React.ReactNode }[] = [
  { id: "overview", title: "Overview", view: (l) => <Overview {...l} /> },
  { id: "metrics", title: "Metrics", view: (l) => <Metrics {...l} /> },
  { id: "curves", title: "Curves", view: (l) => <Curves {...l} /> },
  { id: "threshold", title: "Threshold", only: "binary", view: (l) => <Threshold {...l} /> },
  { id: "features", title: "Features", view: (l) => <Features {...l} /> },
  { id: "slices", title: "Slices", view: (l) => <Slices {...l} /> },
  { id: "leakage", title: "Leakage", view: (l) => <Leakage {...l} /> },
  { id: "training", title: "Training", view: (l) => <Training {...l} /> },
  { id: "provenance", title: "Provenance", view: (l) => <Provenance {...l} /> },
  { id: "versions", title: "Versions", view: (l) => <Versions {...l} /> },
];

export function Component() {
  const { name = "" } = useParams();
  const { objects, workspace } = useLive();
  const model = useObject("Model", name);
  const versions = useMemo(
    () =>
      ofKind(objects, "ModelVersion")
        .filter((v) => v.spec.model === name)
        .sort((a, b) => b.spec.number - a.spec.number),
    [objects, name],
  );
  if (!model) {
    return (
      <Page title={name}>
        <FaultView
          error={
            new Error(
              `There is no model ${name} in workspace ${workspace}. It may have been deleted; its versions are gone with it.`,
            )
          }
        />
      </Page>
    );
  }
  if (versions.length === 0) {
    const told = stateOf(model);
    return (
      <Page
        title={name}
        before={<KindIcon kind="Model" size={22} />}
        actions={<StateBadge state={told.state} label={told.reason} />}
      >
        <Empty title="It has no version yet" action={<Retry kind="Model" name={name} />}>
          <Prose text={told.message || "Fathom has not looked at it yet."} />
          {model.status.progress ? ` (${model.status.progress})` : ""}
        </Empty>
      </Page>
    );
  }
  return <Versioned model={model} versions={versions} />;
}

function Versioned({ model, versions }: { model: Model; versions: ModelVersion[] }) {
  const { tab = "overview" } = useParams();
  const { workspace } = useLive();
  const name = model.metadata.name;
  const [search, setSearch] = useSearchParams();
  const navigate = useNavigate();
  const known = (n: number) => versions.some((v) => v.spec.number === n);
  const usual = model.status.promoted && known(model.status.promoted) ? model.status.promoted : versions[0]!.spec.number;
  const asked = Number(search.get("version") ?? 0);
  const first = known(asked) ? asked : usual;
  const others = (search.get("with") ?? "")
    .split(",")
    .map(Number)
    .filter((n) => n !== first && known(n))
    .slice(0, most - 1);
  const numbers = [first, ...others];
  const answers = useQueries({
    queries: numbers.map((n) =>
      about<Evaluation>(verbs(workspace, `models/${encodeURIComponent(name)}/evaluation?version=${n}`), "", true),
    ),
  });
  const wrong = answers.find((a) => a.error);
  const evaluations = answers.every((a) => a.data) ? answers.map((a) => a.data!) : undefined;
  const told = stateOf(model);
  const label = (v: ModelVersion) =>
    `version ${v.spec.number} · ${v.status.stage ?? "Candidate"} · ${dayOf(v.metadata.creationTimestamp)}`;
  const options = versions.map((v) => ({ value: String(v.spec.number), label: label(v) }));
  const choose = (version: number, beside: number[]) =>
    setSearch((s) => {
      if (version === usual) s.delete("version");
      else s.set("version", String(version));
      if (beside.length) s.set("with", beside.join(","));
      else s.delete("with");
      return s;
    });
  const version = versions.find((v) => v.spec.number === first)!;
  const page = v1(workspace, `models/${encodeURIComponent(name)}/page?version=${first}`);
  return (
    <Page
      title={name}
      before={<KindIcon kind="Model" size={22} />}
      actions={
        <Group gap="xs">
          {told.state !== "ready" && <StateBadge state={told.state} label={told.reason} />}
          {told.state === "failed" && <Retry kind="Model" name={name} />}
          <StateBadge state={stageState(version.status.stage)} label={version.status.stage ?? "Candidate"} />
          <Select
            size="xs"
            w={{ base: 250, sm: 270 }}
            aria-label="Version"
            data={options}
            value={String(first)}
            allowDeselect={false}
            onChange={(v) =>
              v &&
              choose(
                Number(v),
                others.filter((n) => n !== Number(v)),
              )
            }
          />
          {versions.length > 1 && (
            <MultiSelect
              size="xs"
              w={{ base: 250, sm: 230 }}
              aria-label="Versions beside it"
              placeholder={others.length ? "" : "Compare with …"}
              data={options
                .filter((o) => Number(o.value) !== first)
                .map((o) => ({ ...o, label: `v${o.value} · ${o.label.split(" · ")[1]}` }))}
              value={others.map(String)}
              maxValues={most - 1}
              onChange={(list) => choose(first, list.map(Number))}
            />
          )}
          <Menu position="bottom-end">
            <Menu.Target>
              <Button size="xs" variant="default" leftSection={<IconDownload size={14} />}>
                Page
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Item component="a" href={`${page}&download=true`}>
                Download as one HTML file
              </Menu.Item>
              <Menu.Item component="a" href={page} target="_blank" rel="noreferrer">
                Open alone, to print or save as PDF
              </Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </Group>
      }
    >
      <Answer of={{ data: evaluations, error: wrong?.error, refetch: () => wrong?.refetch() }} what="Reading how good it is">
        {(list) => {
          const shown = list.map((evaluation, i) => ({
            version: versions.find((v) => v.spec.number === numbers[i])!,
            evaluation,
            name: `version ${numbers[i]}`,
            colour: seriesColours[i]!,
            dash: seriesDashes[i],
          })) as [Shown, ...Shown[]];
          const there = tabs.filter((t) => !t.only || t.only === shown[0].evaluation.task);
          return (
            <Tabs
              value={there.some((t) => t.id === tab) ? tab : "overview"}
              keepMounted={false}
              onChange={(t) =>
                navigate({ pathname: `/workspaces/${workspace}/models/${name}/${t}`, search: search.size ? `?${search}` : "" })
              }
            >
              <Tabs.List
                mb="md"
                style={{ flexWrap: "nowrap", overflowX: "auto", overflowY: "hidden" }}
                aria-label={`About model ${name}`}
              >
                {there.map((t) => (
                  <Tabs.Tab key={t.id} value={t.id}>
                    {t.title}
                    {t.id === "versions" ? ` (${versions.length})` : ""}
                  </Tabs.Tab>
                ))}
              </Tabs.List>
              {there.map((t) => (
                <Tabs.Panel key={t.id} value={t.id}>
                  {t.view({ model, versions, shown })}
                </Tabs.Panel>
              ))}
            </Tabs>
          );
        }}
      </Answer>
    </Page>
  );
}
