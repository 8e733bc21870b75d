// SPDX-License-Identifier: Apache-2.0
import { Tabs } from "@mantine/core";
import { useNavigate, useParams } from "react-router";
import { useLive, useObject } from "../api/live";
import type { Endpoint } from "../api/kinds";
import { stateOf } from "../graph/state";
import { Page } from "../parts/Page";
import { KindIcon, StateBadge } from "../parts/State";
import { FaultView } from "../parts/Told";
import { Captured } from "./Captured";
import { Overview } from "./Overview";
import { TryIt } from "./TryIt";

const tabs: { id: string; title: string; view: (e: Endpoint) => React.ReactNode }[] = [
  { id: "traffic", title: "Traffic", view: (e) => <Overview endpoint={e} /> },
  { id: "try", title: "Try it", view: (e) => <TryIt endpoint={e} /> },
  { id: "captured", title: "Captured requests", view: (e) => <Captured endpoint={e} /> },
];

export function Component() {
  const { name = "", tab = "traffic" } = useParams();
  const { workspace } = useLive();
  const navigate = useNavigate();
  const endpoint = useObject("Endpoint", name);
  if (!endpoint) {
    return (
      <Page title={name}>
        <FaultView
          error={
            new Error(
              `There is no endpoint ${name} in workspace ${workspace}. Declare one: \`kind: Endpoint\` with \`spec.model\`, then \`fathom apply\`.`,
            )
          }
        />
      </Page>
    );
  }
  const told = stateOf(endpoint);
  return (
    <Page
      title={name}
      before={<KindIcon kind="Endpoint" size={22} />}
      actions={<StateBadge state={told.state} label={told.reason} />}
    >
      <Tabs
        value={tabs.some((t) => t.id === tab) ? tab : "traffic"}
        keepMounted={false}
        onChange={(t) => navigate(`/workspaces/${workspace}/endpoints/${name}/${t}`)}
      >
        <Tabs.List mb="md" aria-label={`About endpoint ${name}`}>
          {tabs.map((t) => (
            <Tabs.Tab key={t.id} value={t.id}>
              {t.title}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {tabs.map((t) => (
          <Tabs.Panel key={t.id} value={t.id}>
            {t.view(endpoint)}
          </Tabs.Panel>
        ))}
      </Tabs>
    </Page>
  );
}
