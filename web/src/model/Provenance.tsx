// SPDX-License-Identifier: Apache-2.0
import { SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api/client";
import { useLive } from "../api/live";
import { Card } from "../parts/Page";
import { TreeView } from "../parts/TreeView";
import { Answer } from "../parts/Told";
import type { Looked } from "./ModelPage";

/** What the version was made from, down to files and consents. */
export function Provenance({ model, shown }: Looked) {
  return (
    <Stack gap="md">
      <Text size="sm" className="quiet">
        What {shown.length > 1 ? "the versions were" : "the version was"} made from, down to files, consents, code and
        environments. The command <code>fathom why {model.metadata.name}</code> tells the same.
      </Text>
      <SimpleGrid cols={{ base: 1, lg: Math.min(shown.length, 2) }}>
        {shown.map((s) => (
          <Stack key={s.name} gap="md">
            <Card title={`Where ${s.name} came from`}>
              <Came name={model.metadata.name} version={s.version.spec.number} />
            </Card>
            <Card title="Digests">
              <dl className="facts">
                {(
                  [
                    ["Model file", s.version.spec.digest],
                    ["Evaluation", s.version.spec.evaluation],
                    ["Training code", s.version.spec.code],
                    ["Environment", s.version.spec.environment],
                    ["Fingerprint", s.version.spec.fingerprint],
                    ["Tracking run", s.version.spec.trackingRun],
                    ["Seed of the split", s.evaluation.scheme.seed],
                    ["Features", s.evaluation.signature.features.map((f) => f.name).join(", ")],
                  ] as const
                ).map(
                  ([name, value]) =>
                    value && (
                      <div key={name} style={{ display: "contents" }}>
                        <dt>{name}</dt>
                        <dd className="mono">{value}</dd>
                      </div>
                    ),
                )}
              </dl>
            </Card>
          </Stack>
        ))}
      </SimpleGrid>
    </Stack>
  );
}

function Came({ name, version }: { name: string; version: number }) {
  const { workspace } = useLive();
  const why = useQuery(queries.why(workspace, "models", name, version));
  return (
    <Answer of={why} what="Walking to the sources">
      {(tree) => <TreeView tree={tree} />}
    </Answer>
  );
}
