// SPDX-License-Identifier: Apache-2.0
import { Button, Group, Select, Stack, Text } from "@mantine/core";
import { IconDownload, IconPrinter } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { Link, useParams, useSearchParams } from "react-router";
import { about, v1 } from "../api/client";
import { useLive, useObject } from "../api/live";
import type { Report } from "../api/kinds";
import { plural, when } from "../format";
import { stateOf } from "../graph/state";
import { Card, Page } from "../parts/Page";
import { Retry } from "../parts/Retry";
import { KindIcon, StateBadge } from "../parts/State";
import { Answer, Empty, FaultView, Prose } from "../parts/Told";
import { pathOf } from "../shell/places";

interface Version {
  number: number;
  at: string;
  run: string;
  inputs: { name: string; version: number }[];
}

export function Component() {
  const { name = "" } = useParams();
  const { workspace } = useLive();
  const report = useObject("Report", name);
  if (!report) {
    return (
      <Page title={name}>
        <FaultView error={new Error(`There is no report ${name} in workspace ${workspace}. It may have been deleted.`)} />
      </Page>
    );
  }
  const told = stateOf(report);
  if (!report.status.version) {
    return (
      <Page
        title={name}
        before={<KindIcon kind="Report" size={22} />}
        actions={<StateBadge state={told.state} label={told.reason} />}
      >
        <Empty title="It is not rendered yet" action={<Retry kind="Report" name={name} />}>
          <Prose text={told.message || "Fathom has not looked at it yet."} />
        </Empty>
      </Page>
    );
  }
  return <Rendered report={report} />;
}

function Rendered({ report }: { report: Report }) {
  const { workspace } = useLive();
  const { name } = report.metadata;
  const current = report.status.version!;
  const [search, setSearch] = useSearchParams();
  const number = Number(search.get("version") ?? 0) || current;
  const versions = useQuery({
    ...about<{ versions: Version[] }>(v1(workspace, `reports/${encodeURIComponent(name)}/versions`), current),
    placeholderData: (old) => old,
  });
  const told = stateOf(report);
  const address = `/ui/workspaces/${encodeURIComponent(workspace)}/reports/${encodeURIComponent(name)}/index.html?version=${number}`;
  const list = versions.data?.versions ?? [];
  const shown = list.find((v) => v.number === number);
  return (
    <Page
      title={name}
      before={<KindIcon kind="Report" size={22} />}
      actions={
        <Group gap="xs">
          <StateBadge state={told.state} label={told.reason} />
          {told.state === "failed" && <Retry kind="Report" name={name} />}
          {list.length > 0 && (
            <Select
              size="xs"
              w={320}
              aria-label="Version"
              data={list.map((v) => ({
                value: String(v.number),
                label: `version ${v.number}${v.number === current ? " (current)" : ""} · ${when(v.at)}`,
              }))}
              value={String(number)}
              allowDeselect={false}
              onChange={(v) =>
                setSearch((s) => {
                  if (!v || Number(v) === current) s.delete("version");
                  else s.set("version", v);
                  return s;
                })
              }
            />
          )}
          <Button
            size="xs"
            variant="default"
            component="a"
            href={`${address}&download=true`}
            leftSection={<IconDownload size={14} />}
          >
            HTML
          </Button>
          <Button
            size="xs"
            variant="default"
            component="a"
            href={address}
            target="_blank"
            rel="noreferrer"
            leftSection={<IconPrinter size={14} />}
            title="Opens the page alone; the browser prints it or saves it as PDF"
          >
            Print or PDF
          </Button>
        </Group>
      }
    >
      <Stack gap="md">
        {told.state !== "ready" && (
          <div className="notice notice-warn">
            <Prose text={told.message} />
          </div>
        )}
        <iframe
          key={address}
          className="page-frame"
          title={`Report ${name}, version ${number}`}
          src={address}
          sandbox=""
          style={{ height: "max(480px, calc(100vh - 190px))" }}
        />
        <Card title={`What version ${number} was made from`}>
          <Answer of={versions} what="Reading its history">
            {() =>
              shown ? (
                <Stack gap={6}>
                  <Text size="sm">
                    {shown.inputs.length === 0 && "Nothing of the workspace."}
                    {shown.inputs.map((i, n) => (
                      <span key={i.name}>
                        {n > 0 && ", "}
                        <Link className="link" to={`${pathOf(workspace, "Dataset", i.name)}?version=${i.version}`}>
                          {i.name} v{i.version}
                        </Link>
                      </span>
                    ))}
                  </Text>
                  <Text size="sm" className="quiet text">
                    Rendered {when(shown.at)} by run{" "}
                    <Link className="link" to={pathOf(workspace, "Run", shown.run)}>
                      {shown.run}
                    </Link>
                    . {plural(list.length, "version")} in the history.
                  </Text>
                </Stack>
              ) : (
                <Text size="sm" className="quiet">
                  Version {number} is not in the history; choose another.
                </Text>
              )
            }
          </Answer>
        </Card>
      </Stack>
    </Page>
  );
}
