// SPDX-License-Identifier: Apache-2.0
import { Code, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { queries, useRights } from "../api/client";
import { ofKind, useLive } from "../api/live";
import type { Dataset, Endpoint } from "../api/kinds";
import { Rows } from "../dataset/Rows";
import { count } from "../format";
import { Ago } from "../parts/Page";
import { Answer, Empty } from "../parts/Told";
import { pathOf } from "../shell/places";

/** Requests that were kept as data, through the dataset that collects them and its rights. */
export function Captured({ endpoint }: { endpoint: Endpoint }) {
  const { objects } = useLive();
  const name = endpoint.metadata.name;
  const dataset = ofKind(objects, "Dataset").find((d) => d.spec.from.capture?.endpoint === name);
  if (!dataset)
    return (
      <Empty title={endpoint.spec.capture?.sample ? "Requests are kept, but no dataset collects them" : "Nothing is captured"}>
        {endpoint.spec.capture?.sample ? "" : "Set spec.capture.sample of the endpoint, for example 10%. "}
        Declare a dataset that collects the requests; what it may show is then decided as for any dataset:
        <Code block mt="sm" ta="left">{`kind: Dataset
metadata: {name: ${name}-requests, namespace: ${endpoint.metadata.namespace}}
spec:
  from: {capture: {endpoint: ${name}}}`}</Code>
      </Empty>
    );
  return <Collected dataset={dataset} />;
}

function Collected({ dataset }: { dataset: Dataset }) {
  const { workspace } = useLive();
  const may = useRights(workspace);
  const { name } = dataset.metadata;
  const version = dataset.status.version ?? 0;
  const allowed = dataset.status.identified ? may.identified : may.data;
  const rows = useQuery({ ...queries.sample(workspace, name, version), enabled: version > 0 && allowed === true });
  const link = (
    <Link className="link" to={pathOf(workspace, "Dataset", name)}>
      {name}
    </Link>
  );
  if (version === 0)
    return (
      <Empty title="No request has been collected yet">
        Dataset {link} makes a version of new requests at most every minute.
      </Empty>
    );
  if (allowed === false)
    return (
      <Empty title="The requests are not for your role">
        Dataset {link} holds {count(dataset.status.rows)} of them; reading{" "}
        {dataset.status.identified ? "identified data" : "its rows"} needs another role.
      </Empty>
    );
  return (
    <Answer of={rows} what="Reading requests">
      {(list) => {
        const newest = list.toReversed();
        return (
          <Stack gap="xs">
            <Text size="sm" className="quiet text">
              {count(dataset.status.rows)} requests in version {version} of dataset {link}, collected{" "}
              <Ago at={dataset.status.updatedAt} />
              {list.length < (dataset.status.rows ?? 0) ? `; the first ${count(list.length)} are shown` : ""}. Distributions are
              on its page, questions go through SQL.
            </Text>
            <Rows rows={newest} columns={Object.keys(list[0] ?? {})} label="Captured requests" />
          </Stack>
        );
      }}
    </Answer>
  );
}
