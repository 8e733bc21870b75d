// SPDX-License-Identifier: Apache-2.0
import { Tabs } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "react-router";
import { about, v1 } from "../api/client";
import { useLive } from "../api/live";
import type { Condition } from "../api/kinds";
import { Page } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { Answer } from "../parts/Told";
import { AuditLines } from "./AuditLines";
import { Members } from "./Members";
import { Queue } from "./Queue";
import { Separation } from "./Separation";

export interface Quota {
  cpu?: string;
  memory?: string;
  storage?: string;
}

export interface AboutWorkspace {
  spec: { members?: { group?: string; user?: string; role: string }[]; quota?: Quota; priority?: number };
  status: { used?: Quota; isolation?: string; conditions?: Condition[] };
  accounts: string[];
  enforcement: { isolation: string; missing: string[]; policies: string[] };
}

const tabs: { id: string; title: string; view: (w: AboutWorkspace) => React.ReactNode }[] = [
  { id: "queue", title: "Quota and queue", view: (w) => <Queue about={w} /> },
  { id: "members", title: "Members", view: (w) => <Members about={w} /> },
  { id: "separation", title: "Separation", view: (w) => <Separation about={w} /> },
  { id: "audit", title: "Audit", view: () => <AuditLines /> },
];

export function Component() {
  const { tab = "queue" } = useParams();
  const { workspace, revision } = useLive();
  const navigate = useNavigate();
  const known = useQuery({
    ...about<AboutWorkspace>(v1(workspace, "about"), Math.floor(revision / 20)),
    refetchInterval: 15_000,
    placeholderData: (old) => old,
  });
  const ready = known.data?.status.conditions?.find((c) => c.type === "Ready");
  return (
    <Page
      title={workspace}
      actions={ready && <StateBadge state={ready.status === "True" ? "ready" : "waiting"} label={ready.reason} />}
    >
      <Tabs
        value={tabs.some((t) => t.id === tab) ? tab : "queue"}
        keepMounted={false}
        onChange={(t) => navigate(`/workspaces/${workspace}/about/${t}`)}
      >
        <Tabs.List
          mb="md"
          style={{ flexWrap: "nowrap", overflowX: "auto", overflowY: "hidden" }}
          aria-label={`About workspace ${workspace}`}
        >
          {tabs.map((t) => (
            <Tabs.Tab key={t.id} value={t.id}>
              {t.title}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map((t) => (
          <Tabs.Panel key={t.id} value={t.id}>
            <Answer of={known} what="Reading about the workspace">
              {(w) => t.view(w)}
            </Answer>
          </Tabs.Panel>
        ))}
      </Tabs>
    </Page>
  );
}
