// SPDX-License-Identifier: Apache-2.0
import { Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/client";
import { useLive } from "../api/live";
import { count } from "../format";
import { Answer } from "../parts/Told";
import type { Looked } from "./DatasetPage";
import { Rows } from "./Rows";

export function Sample({ dataset, version }: Looked) {
  const { workspace } = useLive();
  const sample = useQuery(queries.sample(workspace, dataset.metadata.name, version.number));
  return (
    <Answer of={sample} what="Reading rows">
      {(rows) => (
        <>
          <Text size="sm" className="quiet" mb="xs">
            {rows.length < version.rows
              ? `The first ${count(rows.length)} of ${count(version.rows)} rows`
              : `All ${count(version.rows)} rows`}{" "}
            of version {version.number}.
          </Text>
          <Rows rows={rows} columns={version.columns.map((c) => c.name)} label={`Rows of ${dataset.metadata.name}`} />
        </>
      )}
    </Answer>
  );
}
