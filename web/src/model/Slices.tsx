// SPDX-License-Identifier: Apache-2.0
import { Group, Select, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { count, fixed } from "../format";
import { Card } from "../parts/Page";
import { Forest, Legend } from "../parts/Plot";
import { StateBadge } from "../parts/State";
import { Empty } from "../parts/Told";
import { metricNames, type Slice, termOf } from "./evaluation";
import type { Looked } from "./ModelPage";

const nameOf = (s: Slice) => `${s.column}: ${s.value || "missing"}`;

/** For whom it is better or worse. */
export function Slices({ model, shown }: Looked) {
  const [first] = shown;
  const slices = first.evaluation.slices ?? [];
  const names = metricNames([first.evaluation], model.spec.evaluate?.metrics).filter((m) => slices.some((s) => s.metrics[m]));
  const [metric, setMetric] = useState(names[0] ?? "");
  if (slices.length === 0)
    return (
      <Empty title="No slices are declared">
        Name columns in <code>spec.evaluate.slices</code>, for example sex or site: the model is then judged on each part of the
        population alone.
      </Empty>
    );
  return (
    <Stack gap="md">
      <Card
        title="By part of the population"
        aside={
          <Group gap="sm">
            {shown.length > 1 && <Legend of={shown} />}
            <Select
              size="xs"
              aria-label="Metric"
              data={names.map((m) => ({ value: m, label: termOf(m).label }))}
              value={metric}
              allowDeselect={false}
              onChange={(v) => v && setMetric(v)}
            />
          </Group>
        }
      >
        <Forest
          label={`${termOf(metric).label} of each slice; the table below has the numbers`}
          rows={slices.map((s) => ({
            name: nameOf(s),
            values: shown.map((v) => {
              const found = v.evaluation.slices?.find((o) => o.column === s.column && o.value === s.value);
              const m = found?.metrics[metric];
              return m && { ...m, faint: found.small };
            }),
          }))}
          series={shown}
          domain={termOf(metric).share ? [0, 1] : undefined}
          line={first.evaluation.metrics[metric]?.value}
        />
        <Text size="xs" className="quiet" mt="xs">
          The dashed line is the whole population. A part whose interval reaches the line is not shown to be different. Pale parts
          are too small to read anything into.
        </Text>
      </Card>
      <Card title={`Slices of ${first.name}`} pad={false}>
        <div className="scroll" tabIndex={0} role="group" aria-label="Slices">
          <table className="plain">
            <thead>
              <tr>
                <th>Part</th>
                <th className="number">Rows</th>
                <th className="number">Subjects</th>
                {names.slice(0, 5).map((m) => (
                  <th key={m} className="number">
                    {termOf(m).label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {slices.map((s) => (
                <tr key={nameOf(s)}>
                  <td style={{ whiteSpace: "nowrap" }}>
                    {nameOf(s)} {s.small && <StateBadge state="stale" label="small" />}
                  </td>
                  <td className="number">{count(s.rows)}</td>
                  <td className="number">{count(s.subjects)}</td>
                  {names.slice(0, 5).map((m) => {
                    const v = s.metrics[m];
                    return (
                      <td key={m} className="number" style={{ whiteSpace: "nowrap" }}>
                        {fixed(v?.value)}
                        {v?.low !== undefined && (
                          <span className="quiet">
                            {" "}
                            ({fixed(v.low)} to {fixed(v.high)})
                          </span>
                        )}
                      </td>
                    );
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </Card>
    </Stack>
  );
}
