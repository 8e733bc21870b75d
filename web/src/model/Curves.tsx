// SPDX-License-Identifier: Apache-2.0
import { SimpleGrid, Stack, Text } from "@mantine/core";
import { fixed, num } from "../format";
import { Card } from "../parts/Page";
import { Legend, type Mark, Plot } from "../parts/Plot";
import { Empty } from "../parts/Told";
import { atThreshold } from "./evaluation";
import type { Looked, Shown } from "./ModelPage";

const unit: [number, number] = [0, 1];
const square = { x: unit, y: unit };

export function Curves({ shown }: Looked) {
  const [first] = shown;
  const { curves, target, positive } = first.evaluation;
  if (!curves?.roc?.length && !curves?.scatter?.length && !curves?.calibration?.length) {
    return (
      <Empty title="There is no curve for this task">
        ROC, precision-recall and calibration are drawn for two classes, true against predicted values for numbers.
        {first.evaluation.confusion && " How the classes were mixed up is below."}
        {first.evaluation.confusion && <Mixed shown={first} />}
      </Empty>
    );
  }
  const all = shown.map((s) => s.name).join(" and ");
  return (
    <Stack gap="md">
      {shown.length > 1 && <Legend of={shown} />}
      <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }}>
        {curves.roc && (
          <Card title="ROC">
            <Plot
              label={`ROC curve of ${all}`}
              x="false positive rate"
              y="true positive rate"
              domain={square}
              lines={shown.map((s) => ({ ...s, points: s.evaluation.curves?.roc ?? [] }))}
              marks={shown.flatMap((s) => inUse(s, "roc"))}
              guide={[
                { x: 0, y: 0 },
                { x: 1, y: 1 },
              ]}
            />
            <Note>
              {shown.map((s) => `${s.name}: AUC ${interval(s, "roc_auc")}`).join("; ")}. On the dashed line is chance; the mark is
              the threshold in use.
            </Note>
          </Card>
        )}
        {curves.pr && (
          <Card title="Precision and recall">
            <Plot
              label={`Precision-recall curve of ${all}`}
              x="recall"
              y="precision"
              domain={square}
              lines={shown.map((s) => ({ ...s, points: s.evaluation.curves?.pr ?? [] }))}
              marks={shown.flatMap((s) => inUse(s, "pr"))}
              guide={prevalence(first)}
            />
            <Note>
              How many of the rows called positive are so, against how many of the positive rows are found. Guessing reaches the
              dashed line: the share of {target} = {positive}.
            </Note>
          </Card>
        )}
        {curves.calibration && (
          <Card title="Calibration">
            <Plot
              label={`Calibration of ${all}: observed against predicted share`}
              x="predicted probability"
              y="observed share"
              domain={square}
              lines={shown.map((s) => ({
                ...s,
                points: (s.evaluation.curves?.calibration ?? []).map((b) => ({ x: b.predicted, y: b.observed })),
              }))}
              marks={shown.flatMap((s) =>
                (s.evaluation.curves?.calibration ?? []).map((b) => ({
                  x: b.predicted,
                  y: b.observed,
                  low: b.low,
                  high: b.high,
                  colour: s.colour,
                  title: `${s.name}: ${num(b.observed, 2)} observed of ${num(b.predicted, 2)} predicted, ${b.rows} rows`,
                })),
              )}
              guide={[
                { x: 0, y: 0 },
                { x: 1, y: 1 },
              ]}
            />
            <Note>{slope(first)}</Note>
          </Card>
        )}
        {curves.scatter && (
          <Card title="Predicted against true values">
            <Plot
              label={`Predicted against true ${target} of ${all}`}
              x={`true ${target}`}
              y={`predicted ${target}`}
              marks={shown.flatMap((s) =>
                (s.evaluation.curves?.scatter ?? []).map((p) => ({
                  ...p,
                  colour: s.colour,
                  size: 3,
                  title: `true ${num(p.x)}, predicted ${num(p.y)}`,
                })),
              )}
              guide={diagonal(curves.scatter)}
              height={360}
            />
            <Note>Each mark is a held-out row; on the dashed line the prediction is exact.</Note>
          </Card>
        )}
      </SimpleGrid>
      {first.evaluation.confusion && <Mixed shown={first} />}
    </Stack>
  );
}

const Note = ({ children }: { children: React.ReactNode }) => (
  <Text size="xs" className="quiet" mt="xs">
    {children}
  </Text>
);

/** Rows by true and predicted class, at the threshold in use. */
export function Mixed({ shown }: { shown: Shown }) {
  const { confusion, target } = shown.evaluation;
  if (!confusion) return null;
  return (
    <Card title={`True and predicted classes, ${shown.name}`} pad={false}>
      <div className="scroll" tabIndex={0} role="group" aria-label="True and predicted classes">
        <table className="plain">
          <thead>
            <tr>
              <th>true {target}</th>
              {confusion.classes.map((c) => (
                <th key={c} className="number">
                  predicted {c}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {confusion.counts.map((row, i) => {
              const total = row.reduce((a, b) => a + b, 0);
              return (
                <tr key={confusion.classes[i]}>
                  <td>{confusion.classes[i]}</td>
                  {row.map((n, j) => (
                    <td key={j} className="number" style={i === j ? { background: "var(--ready-tint)" } : undefined}>
                      {n} <span className="quiet">{total ? `${Math.round((100 * n) / total)} %` : ""}</span>
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      <Text size="xs" className="quiet" px="md" py="xs">
        Each line holds the rows of one true class; the shaded ones were predicted correctly.
      </Text>
    </Card>
  );
}

function interval(s: Shown, metric: string): string {
  const m = s.evaluation.metrics[metric];
  return m ? `${fixed(m.value)}${m.low === undefined ? "" : ` (${fixed(m.low)} to ${fixed(m.high)})`}` : "–";
}

function inUse(s: Shown, curve: "roc" | "pr"): Mark[] {
  const at = s.evaluation.threshold === undefined ? undefined : atThreshold(s.evaluation, s.evaluation.threshold);
  if (!at || Number.isNaN(at.precision)) return [];
  const point = curve === "roc" ? { x: 1 - at.specificity, y: at.sensitivity } : { x: at.sensitivity, y: at.precision };
  return [{ ...point, colour: s.colour, size: 6, title: `${s.name}: threshold ${num(s.evaluation.threshold)}` }];
}

function prevalence(s: Shown) {
  const { classes, rows } = s.evaluation.population;
  const share = (classes?.[s.evaluation.positive ?? ""] ?? 0) / rows;
  return [
    { x: 0, y: share },
    { x: 1, y: share },
  ];
}

function diagonal(points: { x: number; y: number }[]) {
  const values = points.flatMap((p) => [p.x, p.y]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [
    { x: low, y: low },
    { x: high, y: high },
  ];
}

/** Reads slope and interval, as the words beside the curve. */
function slope(s: Shown): string {
  const m = s.evaluation.metrics.calibration_slope;
  const text =
    "Each mark is a group of rows with similar predictions: on the dashed line as many are positive as was predicted; bars are 95 % intervals.";
  if (m?.low === undefined || m.high === undefined) return text;
  const says =
    m.high < 1
      ? "says that the predictions are too extreme: do not read them as probabilities."
      : m.low > 1
        ? "says that the predictions are too timid."
        : "does not show that the predictions are too extreme or too timid.";
  return `${text} The slope of ${fixed(m.value)} (${fixed(m.low)} to ${fixed(m.high)}) ${says}`;
}
