// SPDX-License-Identifier: Apache-2.0
import { Group, SegmentedControl, SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Link, useSearchParams } from "react-router";
import { about, v1 } from "../api/client";
import { useLive } from "../api/live";
import type { Endpoint, Pod } from "../api/kinds";
import { count, fixed, num, percent } from "../format";
import { stateOf } from "../graph/state";
import { Ago, Card, Tile } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { Answer, Empty, Loading, Prose } from "../parts/Told";
import { pathOf } from "../shell/places";
import { type Series, shares, totals } from "./traffic";

const Charts = lazy(() => import("./Charts"));

const spans = [
  { value: "15", label: "15 min" },
  { value: "60", label: "1 h" },
  { value: "360", label: "6 h" },
];

interface Replica extends Pod {
  version: number;
  ready: boolean;
}

export function Overview({ endpoint }: { endpoint: Endpoint }) {
  const { workspace } = useLive();
  const [search, setSearch] = useSearchParams();
  const minutes = spans.some((s) => s.value === search.get("minutes")) ? search.get("minutes")! : "60";
  const name = encodeURIComponent(endpoint.metadata.name);
  const traffic = useQuery({
    ...about<Series>(v1(workspace, `endpoints/${name}/traffic?minutes=${minutes}`)),
    refetchInterval: 10_000,
    placeholderData: (old) => old,
  });
  const replicas = useQuery({
    ...about<{ replicas: Replica[] }>(
      v1(workspace, `endpoints/${name}/replicas`),
      `${endpoint.status.replicas} ${endpoint.status.version}`,
    ),
    refetchInterval: 15_000,
    placeholderData: (old) => old,
  });
  const told = stateOf(endpoint);
  const { status, spec } = endpoint;
  return (
    <Stack gap="md">
      <Answer of={traffic} what="Reading what happened">
        {(series) => {
          const all = totals(series);
          const seconds = series.points.length * series.step;
          return (
            <>
              <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
                <Tile
                  label="Serves"
                  value={
                    status.version ? (
                      <Link className="link" to={`${pathOf(workspace, "Model", spec.model)}?version=${status.version}`}>
                        {spec.model} v{status.version}
                      </Link>
                    ) : (
                      "nothing yet"
                    )
                  }
                  note={
                    status.next ? (
                      `version ${status.next} gets ready`
                    ) : status.switchedAt ? (
                      <>
                        since <Ago at={status.switchedAt} />
                      </>
                    ) : spec.version ? (
                      "pinned"
                    ) : (
                      "follows the model"
                    )
                  }
                />
                <Tile
                  label="Replicas"
                  value={status.replicas || "0"}
                  note={`${spec.scale?.min ?? 1} to ${spec.scale?.max ?? 1} are declared`}
                />
                <Tile label="Requests" value={count(all.answers)} note={rate(all.answers / seconds)} />
                <Tile label="Median" value={milliseconds(all.p50)} note="time to answer" />
                <Tile label="99 %" value={milliseconds(all.p99)} note="the worst step" />
                <Tile
                  label="Errors"
                  value={count(all.failed)}
                  note={
                    all.answers
                      ? `${percent(all.failed, all.answers)}; ${count(all.refused)} refused as wrong`
                      : "no request came"
                  }
                />
              </SimpleGrid>
              <Group justify="space-between">
                <Text size="sm" className="quiet">
                  Remembered since Fathom started, at most 6 hours. Prometheus reads the same from <code>/metrics</code>.
                </Text>
                <SegmentedControl
                  size="xs"
                  aria-label="Time shown"
                  data={spans}
                  value={minutes}
                  onChange={(v) =>
                    setSearch((s) => {
                      s.set("minutes", v);
                      return s;
                    })
                  }
                />
              </Group>
              {all.answers === 0 ? (
                <Card>
                  <Empty title="No request came in this time">
                    Ask from the tab “Try it”, or with <code>fathom predict {endpoint.metadata.name}</code>.
                  </Empty>
                </Card>
              ) : (
                <>
                  <Split series={series} />
                  <Suspense fallback={<Loading what="Drawing" />}>
                    <Charts series={series} />
                  </Suspense>
                </>
              )}
            </>
          );
        }}
      </Answer>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card title="How it is" aside={<StateBadge state={told.state} label={told.reason} />}>
          <Text size="sm" mb="xs">
            <Prose text={told.message} />
          </Text>
          <dl className="facts">
            <dt>Address</dt>
            <dd className="mono">{status.url ?? "none yet"}</dd>
            <dt>At a time</dt>
            <dd>{spec.scale?.concurrency ? `${spec.scale.concurrency} requests a replica` : "no limit"}</dd>
            <dt>Captures</dt>
            <dd>{spec.capture?.sample ? `${spec.capture.sample} of requests` : "nothing"}</dd>
          </dl>
        </Card>
        <Card title="Replicas" pad={false}>
          <Answer of={replicas} what="Looking for replicas">
            {({ replicas: all }) => {
              const alive = all.filter((r) => r.phase !== "Failed" && r.phase !== "Succeeded");
              if (alive.length === 0)
                return (
                  <Text size="sm" className="quiet" p="md">
                    None runs now. {spec.scale?.min === 0 ? "The first request starts one and waits for it." : ""}
                  </Text>
                );
              return (
                <div className="scroll" tabIndex={0} role="group" aria-label="Replicas of the endpoint">
                  <table className="plain">
                    <thead>
                      <tr>
                        <th>Pod</th>
                        <th className="number">Version</th>
                        <th>State</th>
                        <th className="number">CPU</th>
                        <th className="number">Memory</th>
                        <th className="number">Restarts</th>
                        <th>Since</th>
                      </tr>
                    </thead>
                    <tbody>
                      {alive.map((r) => (
                        <tr key={r.name}>
                          <td className="mono">{r.name}</td>
                          <td className="number">{r.version}</td>
                          <td>
                            <StateBadge
                              state={r.ready ? "ready" : "running"}
                              label={r.ready ? "Ready" : (r.reason ?? "Starting")}
                            />
                          </td>
                          <td className="number">{r.cpu}</td>
                          <td className="number">{r.memory}</td>
                          <td className="number">{r.restarts}</td>
                          <td style={{ whiteSpace: "nowrap" }}>
                            <Ago at={r.started} />
                          </td>
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              );
            }}
          </Answer>
        </Card>
      </SimpleGrid>
    </Stack>
  );
}

const rate = (n: number) => (n >= 0.1 ? `${num(n, 2)} a second` : `${num(3600 * n, 2)} an hour`);

const milliseconds = (s: number | undefined) => (s === undefined ? "–" : s < 1 ? `${num(1000 * s, 3)} ms` : `${fixed(s)} s`);

/** Which share of requests each version answered. */
function Split({ series }: { series: Series }) {
  const list = shares(series);
  return (
    <Card title="Traffic by version">
      <div
        className="split"
        role="img"
        aria-label={list.map((s) => `version ${s.version}: ${percent(s.answers, s.of)}`).join(", ")}
      >
        {list.map((s) => (
          <span key={s.version} style={{ flexGrow: s.answers, background: s.colour }} />
        ))}
      </div>
      <Group gap="lg" mt={6}>
        {list.map((s) => (
          <Text size="sm" key={s.version}>
            <span className="swatch" style={{ background: s.colour }} />
            {s.version ? `version ${s.version}` : "no version served"}: {count(s.answers)} requests, {percent(s.answers, s.of)}
          </Text>
        ))}
      </Group>
    </Card>
  );
}
