// SPDX-License-Identifier: Apache-2.0
import { Spotlight, spotlight, type SpotlightActionData } from "@mantine/spotlight";
import { IconAffiliate, IconListDetails, IconPlayerPlay, IconSql } from "@tabler/icons-react";
import { useEffect, useMemo } from "react";
import { useNavigate } from "react-router";
import { useLive } from "../api/live";
import { stateOf } from "../graph/state";
import { KindIcon } from "../parts/State";
import { pathOf } from "./places";

/** Every page and object by its name, from the keyboard. */
export default function Palette({ close }: { close: () => void }) {
  const { workspace, objects } = useLive();
  const navigate = useNavigate();
  useEffect(() => spotlight.open(), []);
  const actions = useMemo(() => {
    const go = (path: string) => () => navigate(path);
    const base = `/workspaces/${workspace}`;
    const out: SpotlightActionData[] = [
      {
        id: "graph",
        label: "Graph",
        description: "The whole workspace (g)",
        onClick: go(`${base}/graph`),
        leftSection: <IconAffiliate size={18} />,
      },
      {
        id: "objects",
        label: "All objects",
        description: "As a list (o)",
        onClick: go(`${base}/objects`),
        leftSection: <IconListDetails size={18} />,
      },
      {
        id: "runs",
        label: "Runs",
        description: "What works and what has ended (r)",
        onClick: go(`${base}/runs`),
        leftSection: <IconPlayerPlay size={18} />,
      },
      {
        id: "sql",
        label: "SQL",
        description: "Ask the datasets (s)",
        onClick: go(`${base}/sql`),
        leftSection: <IconSql size={18} />,
      },
    ];
    for (const o of objects.values()) {
      if (o.kind === "ModelVersion") continue;
      const told = stateOf(o);
      out.push({
        id: `${o.kind}/${o.metadata.name}`,
        label: o.metadata.name,
        description: `${o.kind} · ${told.reason}`,
        keywords: [o.kind, told.reason],
        onClick: go(pathOf(workspace, o.kind, o.metadata.name)),
        leftSection: <KindIcon kind={o.kind} size={18} />,
      });
    }
    return out;
  }, [objects, workspace, navigate]);
  return (
    <Spotlight
      actions={actions}
      nothingFound="Nothing has this name"
      highlightQuery
      limit={30}
      scrollable
      maxHeight={420}
      onSpotlightClose={close}
      shortcut={null}
      attributes={{ content: { "aria-label": "Search" } }}
      searchProps={{ placeholder: "Search pages and objects", "aria-label": "Search pages and objects" }}
    />
  );
}
