// SPDX-License-Identifier: Apache-2.0
import { SimpleGrid, Stack, Text } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { Link } from "react-router";
import { about, useRights, v1 } from "../api/client";
import { useLive } from "../api/live";
import { digest, duration, num } from "../format";
import { Card } from "../parts/Page";
import { Legend, Plot, seriesDashes } from "../parts/Plot";
import { Answer, Empty } from "../parts/Told";
import type { Looked, Shown } from "./ModelPage";

interface Tracked {
  id: string;
  name: string;
  final?: boolean;
  status: string;
  started?: number;
  ended?: number;
  params: Record<string, string>;
  metrics: Record<string, { step: number; time: number; value: number }[]>;
}

/** What training logged: parameters, and metrics over its steps. */
export function Training({ model, shown }: Looked) {
  const { workspace } = useLive();
  const may = useRights(workspace);
  const path = (s: Shown) =>
    v1(workspace, `models/${encodeURIComponent(model.metadata.name)}/training?version=${s.version.spec.number}`);
  const answers = useQueries({
    queries: shown.map((s) => ({
      ...about<{ runs: Tracked[] }>(path(s), s.version.status.stage),
      enabled: may.tracking !== false,
    })),
  });
  if (may.tracking === false)
    return (
      <Empty title="Your role does not show what training logged">
        It needs the right to read models/tracking: viewer, editor, approver or admin.
      </Empty>
    );
  const wrong = answers.find((a) => a.error);
  const data = answers.every((a) => a.data) ? answers.map((a) => a.data!.runs) : undefined;
  return (
    <Answer of={{ data, error: wrong?.error, refetch: () => wrong?.refetch() }} what="Reading what training logged">
      {(runs) => <Logged shown={shown} runs={runs} />}
    </Answer>
  );
}

function Logged({ shown, runs }: { shown: Shown[]; runs: Tracked[][] }) {
  const { workspace } = useLive();
  const finals = runs.map((list) => list.find((r) => r.final));
  const params = [...new Set(finals.flatMap((r) => Object.keys(r?.params ?? {}).filter((p) => p !== "fathom.part")))].sort();
  const keys = [...new Set(runs.flatMap((list) => list.flatMap((r) => Object.keys(r.metrics))))].sort();
  const curves = keys.filter((k) => runs.some((list) => list.some((r) => (r.metrics[k]?.length ?? 0) > 1)));
  // The evaluation logs its metrics to the final run; they have pages of their own.
  const single = keys.filter((k) => !curves.includes(k) && !shown.some((s) => s.evaluation.metrics[k]));
  if (runs.every((list) => list.length === 0))
    return (
      <Empty title="Training logged nothing">
        Code reaches the tracking store as MLFLOW_TRACKING_URI: <code>mlflow.log_metric("loss", loss, step=epoch)</code> draws a
        curve here.
      </Empty>
    );
  return (
    <Stack gap="md">
      <Card title="Parameters" pad={false}>
        <div className="scroll" tabIndex={0} role="group" aria-label="Parameters">
          <table className="plain">
            <thead>
              <tr>
                <th>Parameter</th>
                {shown.map((s) => (
                  <th key={s.name}>{s.name}</th>
                ))}
              </tr>
            </thead>
            <tbody>
              {params.map((p) => {
                const values = finals.map((r) => r?.params[p]);
                const differs = new Set(values).size > 1;
                return (
                  <tr key={p} style={differs ? { background: "var(--stale-tint)" } : undefined}>
                    <td className="mono">{p}</td>
                    {values.map((v, i) => (
                      <td key={shown[i]!.name} style={{ overflowWrap: "anywhere" }}>
                        {v ?? "–"}
                        {differs && i === 0 ? <span className="quiet"> (differs)</span> : ""}
                      </td>
                    ))}
                  </tr>
                );
              })}
              {[
                { name: "code", of: (s: Shown) => digest(s.version.spec.code) },
                { name: "environment", of: (s: Shown) => digest(s.version.spec.environment) },
                { name: "tracking run", of: (s: Shown) => s.version.spec.trackingRun ?? "–" },
              ].map((f) => (
                <tr key={f.name}>
                  <td>{f.name}</td>
                  {shown.map((s) => (
                    <td key={s.name} className="mono" style={{ overflowWrap: "anywhere" }}>
                      {f.of(s)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Card>
      {curves.length === 0 ? (
        <Text size="sm" className="quiet">
          No metric was logged more than once, so there is no curve to draw. Code that logs a value with a step gets one:{" "}
          <code>mlflow.log_metric("loss", loss, step=epoch)</code>.
        </Text>
      ) : (
        <>
          {shown.length > 1 && <Legend of={shown} />}
          <SimpleGrid cols={{ base: 1, md: 2 }}>
            {curves.map((key) => (
              <Card key={key} title={key}>
                <Plot
                  label={`${key} over the steps of training, folds and final training`}
                  x="step"
                  y={key}
                  lines={shown.flatMap((s, i) =>
                    (runs[i] ?? [])
                      .filter((r) => r.metrics[key])
                      .map((r) => ({
                        name: `${s.name} ${r.name}`,
                        colour: s.colour,
                        dash: r.final ? undefined : seriesDashes[2],
                        points: r.metrics[key]!.map((p, n, list) => ({ x: list.some((o) => o.step) ? p.step : n, y: p.value })),
                      })),
                  )}
                  height={240}
                />
              </Card>
            ))}
          </SimpleGrid>
          <Text size="xs" className="quiet">
            The full line is the final training, the dotted ones are those of the folds.
          </Text>
        </>
      )}
      {shown.map((s, i) => (
        <Card key={s.name} title={`Trainings of ${s.name}`} pad={false}>
          <div className="scroll" tabIndex={0} role="group" aria-label={`Trainings of ${s.name}`}>
            <table className="plain">
              <thead>
                <tr>
                  <th>Run</th>
                  <th>State</th>
                  <th className="number">Took</th>
                  {single.slice(0, 8).map((k) => (
                    <th key={k} className="number">
                      {k}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {runs[i]!.map((r) => (
                  <tr key={r.id}>
                    <td style={{ whiteSpace: "nowrap" }}>
                      <Link className="link" to={`/workspaces/${workspace}/runs/${r.name}`}>
                        {r.name}
                      </Link>
                    </td>
                    <td className="quiet">{r.status.toLowerCase()}</td>
                    <td className="number" style={{ whiteSpace: "nowrap" }}>
                      {r.started && r.ended ? duration((r.ended - r.started) / 1000) : "–"}
                    </td>
                    {single.slice(0, 8).map((k) => (
                      <td key={k} className="number">
                        {num(r.metrics[k]?.at(-1)?.value)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Card>
      ))}
    </Stack>
  );
}
