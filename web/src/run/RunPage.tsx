// SPDX-License-Identifier: Apache-2.0
import { Button, SimpleGrid, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useParams } from "react-router";
import { post, queries, useRights, verbs } from "../api/client";
import { useLive, useObject } from "../api/live";
import type { Run, RunRecord } from "../api/kinds";
import { bytes, digest, duration, when } from "../format";
import { phaseState } from "../graph/state";
import { Ago, Card, Page, Tile, useNow } from "../parts/Page";
import { Retry } from "../parts/Retry";
import { KindIcon, StateBadge } from "../parts/State";
import { Answer, FaultView, Prose } from "../parts/Told";
import { pathOf } from "../shell/places";
import { linesOf } from "./lines";
import { Log } from "./Log";

export function Component() {
  const { name = "" } = useParams();
  const { workspace } = useLive();
  const live = useObject("Run", name);
  const stamp = live ? `${live.status.phase} ${live.status.attempt} ${live.status.message}` : "gone";
  const run = useQuery({ ...queries.run(workspace, name, stamp), placeholderData: (old) => old });
  if (run.error && !run.data) {
    return (
      <Page title={name}>
        <FaultView error={run.error} retry={() => run.refetch()} />
      </Page>
    );
  }
  return (
    <Answer of={run} what="Reading the run">
      {({ object, record, pods }) => <Shown name={name} run={live ?? object} record={record} pods={pods} />}
    </Answer>
  );
}

function Shown({
  name,
  run,
  record,
  pods,
}: {
  name: string;
  run?: Run;
  record?: RunRecord;
  pods: {
    name: string;
    phase: string;
    reason?: string;
    message?: string;
    node?: string;
    restarts: number;
    cpu?: string;
    memory?: string;
    started?: string;
  }[];
}) {
  const { workspace } = useLive();
  const may = useRights(workspace);
  const now = useNow();
  const line = linesOf(run ? [run] : [], record ? [record] : [])[0];
  const cancel = useMutation({
    mutationFn: () => post(verbs(workspace, `runs/${encodeURIComponent(name)}/cancel`)),
    onSuccess: () => notifications.show({ message: `Run ${name} is being cancelled` }),
    onError: (e) => notifications.show({ color: "red", title: "Not cancelled", message: e.message }),
  });
  if (!line) return null;
  const seconds = line.seconds ?? (line.live && line.started ? (now - Date.parse(line.started)) / 1000 : undefined);
  return (
    <Page
      title={name}
      before={<KindIcon kind="Run" size={22} />}
      actions={
        <>
          <StateBadge state={phaseState(line.phase)} label={line.phase} />
          {line.live && may.cancelRun && (
            <Button size="xs" variant="default" loading={cancel.isPending} onClick={() => cancel.mutate()}>
              Cancel
            </Button>
          )}
          {(line.phase === "Failed" || line.phase === "Cancelled") && <Retry kind={line.forKind} name={line.forName} />}
        </>
      }
    >
      <Stack gap="md">
        <SimpleGrid cols={{ base: 2, sm: 4 }} spacing="sm">
          <Tile
            label="For"
            value={
              <Link className="link" to={pathOf(workspace, line.forKind, line.forName)}>
                {line.forName}
              </Link>
            }
            note={`${line.forKind.toLowerCase()}, step ${line.step.toLowerCase()}`}
          />
          <Tile
            label={line.live ? "Running for" : "Took"}
            value={seconds === undefined ? "–" : duration(seconds)}
            note={
              line.started ? (
                <>
                  began <Ago at={line.started} />
                </>
              ) : (
                "has not started"
              )
            }
          />
          <Tile
            label="Try"
            value={run?.status.attempt ?? record?.attempt ?? "–"}
            note={run?.spec.retries ? `of at most ${run.spec.retries + 1}` : undefined}
          />
          <Tile label="Progress" value={run?.status.progress || (line.phase === "Succeeded" ? "done" : "–")} />
        </SimpleGrid>
        {line.message && (
          <Card title={line.phase === "Queued" ? "Why it waits" : "What it says"}>
            <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
              <Prose text={run?.status.message ?? record?.message ?? line.message} />
            </Text>
          </Card>
        )}
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <Card title="What it runs">
            <dl className="facts">
              {run && (
                <>
                  <dt>Command</dt>
                  <dd className="mono">{run.spec.command.join(" ")}</dd>
                  <dt>Asks for</dt>
                  <dd>
                    {run.spec.workers && run.spec.workers > 1 ? `${run.spec.workers} workers of ` : ""}
                    {run.spec.resources?.cpu ?? "default"} CPU, {run.spec.resources?.memory ?? "default"} memory
                  </dd>
                </>
              )}
              <dt>Code</dt>
              <dd className="mono">{digest(record?.code)}</dd>
              <dt>Environment</dt>
              <dd className="mono">{digest(record?.environment ?? run?.status.environment)}</dd>
              {Object.entries(record?.host ?? {}).map(([key, value]) => (
                <Fact
                  key={key}
                  name={key}
                  value={/bytes|memory/i.test(key) && /^\d+$/.test(value) ? bytes(Number(value)) : value}
                />
              ))}
              {record && <Fact name="Ended" value={when(record.finished)} />}
            </dl>
          </Card>
          <Card title="What it reads">
            {(run?.spec.inputs ?? []).filter((i) => i.dataset).length === 0 && (record?.inputs ?? []).length === 0 ? (
              <Text size="sm" className="quiet">
                {run?.spec.inputs?.length ? "Files of its source." : "It is not recorded for this step."}
              </Text>
            ) : (
              <table className="plain">
                <tbody>
                  {(
                    record?.inputs ??
                    run?.spec.inputs?.map((i) => ({
                      kind: i.dataset ? "dataset" : "files",
                      name: i.dataset ?? i.name,
                      version: i.version ? String(i.version) : "",
                      digest: i.manifest,
                    })) ??
                    []
                  )
                    .slice(0, 30)
                    .map((i) => (
                      <tr key={`${i.kind}${i.name}${i.version}${i.digest}`}>
                        <td>
                          {i.kind === "dataset" ? (
                            <Link
                              className="link"
                              to={`${pathOf(workspace, "Dataset", i.name)}${i.version ? `?version=${i.version}` : ""}`}
                            >
                              {i.name} {i.version ? `v${i.version}` : ""}
                            </Link>
                          ) : (
                            i.name
                          )}
                        </td>
                        <td className="quiet">{i.kind}</td>
                      </tr>
                    ))}
                </tbody>
              </table>
            )}
          </Card>
        </SimpleGrid>
        {pods.length > 0 && (
          <Card title="Pods" pad={false}>
            <div style={{ overflowX: "auto" }}>
              <table className="plain">
                <thead>
                  <tr>
                    <th>Pod</th>
                    <th>Phase</th>
                    <th>Node</th>
                    <th className="number">CPU</th>
                    <th className="number">Memory</th>
                    <th className="number">Restarts</th>
                    <th>What it says</th>
                  </tr>
                </thead>
                <tbody>
                  {pods.map((p) => (
                    <tr key={p.name}>
                      <td className="mono">{p.name}</td>
                      <td>
                        <StateBadge state={phaseState(p.phase)} label={p.phase} />
                      </td>
                      <td>{p.node}</td>
                      <td className="number">{p.cpu}</td>
                      <td className="number">{p.memory}</td>
                      <td className="number">{p.restarts}</td>
                      <td className="quiet">{[p.reason, p.message].filter(Boolean).join(": ")}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </Card>
        )}
        {may.log === false ? null : <Log name={name} live={line.live} />}
      </Stack>
    </Page>
  );
}

const Fact = ({ name, value }: { name: string; value: string }) => (
  <>
    <dt>{name}</dt>
    <dd>{value}</dd>
  </>
);
