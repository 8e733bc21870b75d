// SPDX-License-Identifier: Apache-2.0
import { Button, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { queries } from "../api/client";
import { useLive } from "../api/live";
import { TreeView } from "../parts/TreeView";
import { Answer } from "../parts/Told";
import type { Looked } from "./DatasetPage";

export function Lineage({ dataset, version }: Looked) {
  const { workspace } = useLive();
  const why = useQuery(queries.why(workspace, "datasets", dataset.metadata.name, version.number));
  return (
    <Answer of={why} what="Walking to the sources">
      {(tree) => (
        <>
          <Text size="sm" className="quiet" mb="xs">
            What version {version.number} was made from, down to files, consents, code and environments.{" "}
            <Button
              component={Link}
              to={`/workspaces/${workspace}/graph?object=${encodeURIComponent(`Dataset/${dataset.metadata.name}`)}&version=${version.number}`}
              size="compact-xs"
              variant="default"
            >
              On the graph
            </Button>
          </Text>
          <section className="card" aria-label="Lineage" style={{ padding: "10px 14px" }}>
            <TreeView tree={tree} />
          </section>
        </>
      )}
    </Answer>
  );
}
