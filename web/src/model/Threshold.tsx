// SPDX-License-Identifier: Apache-2.0
import { Button, Group, SimpleGrid, Slider, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { count, fixed, num, percent } from "../format";
import { Card, Tile } from "../parts/Page";
import { Plot } from "../parts/Plot";
import { Empty } from "../parts/Told";
import { atThreshold } from "./evaluation";
import type { Looked } from "./ModelPage";

/** What would be, were rows called positive from another probability. */
export function Threshold({ shown }: Looked) {
  const [{ evaluation: e, name, colour }] = shown;
  const usual = e.threshold ?? 0.5;
  const [threshold, set] = useState(usual);
  const at = atThreshold(e, threshold);
  if (!at)
    return (
      <Empty title="There is no threshold to move">The evaluation has no ROC curve: a class may be missing from its rows.</Empty>
    );
  const cell = (n: number, of: number, good: boolean) => (
    <td className="number" style={good ? { background: "var(--ready-tint)" } : undefined}>
      <b>{count(n)}</b> <span className="quiet">{percent(n, of)}</span>
    </td>
  );
  const [positives, negatives] = [at.tp + at.fn, at.tn + at.fp];
  const others = (e.classes ?? []).filter((c) => c !== e.positive).join(", ");
  return (
    <Stack gap="md">
      <Card title={`A row counts as ${e.target} = ${e.positive} from a probability of`}>
        <Group gap="md" align="center" wrap="nowrap">
          <Slider
            style={{ flex: 1 }}
            min={0}
            max={1}
            step={0.01}
            value={threshold}
            onChange={set}
            thumbLabel="Threshold"
            label={(v) => v.toFixed(2)}
            marks={[{ value: usual, label: "in use" }]}
            mb="lg"
          />
          <Text fw={650} fz={22} w={56} ta="right" style={{ fontVariantNumeric: "tabular-nums" }} aria-live="polite">
            {threshold.toFixed(2)}
          </Text>
          <Button size="xs" variant="default" disabled={threshold === usual} onClick={() => set(usual)}>
            Back
          </Button>
        </Group>
        <Text size="xs" className="quiet" mt="xs">
          This only shows what would be, from the curve of {name}. What counts for rules and answers is{" "}
          <code>spec.evaluate.threshold</code>. Choosing a threshold by looking at these rows makes the numbers below too good.
        </Text>
      </Card>
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
        <Tile label="Sensitivity" value={fixed(at.sensitivity)} note="positive rows that are found" />
        <Tile label="Specificity" value={fixed(at.specificity)} note="negative rows left alone" />
        <Tile label="Precision" value={fixed(at.precision)} note="of those called positive" />
        <Tile label="Negative value" value={fixed(at.negative)} note="of those called negative" />
        <Tile label="Accuracy" value={fixed(at.accuracy)} note="all rows" />
        <Tile label="F1" value={fixed(at.f1)} note="precision and sensitivity" />
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card title="True and predicted classes" pad={false}>
          <div className="scroll" tabIndex={0} role="group" aria-label="True and predicted classes">
            <table className="plain">
              <thead>
                <tr>
                  <th>true {e.target}</th>
                  <th className="number">predicted {e.positive}</th>
                  <th className="number">predicted {others}</th>
                </tr>
              </thead>
              <tbody>
                <tr>
                  <td>{e.positive} (positive)</td>
                  {cell(at.tp, positives, true)}
                  {cell(at.fn, positives, false)}
                </tr>
                <tr>
                  <td>{others}</td>
                  {cell(at.fp, negatives, false)}
                  {cell(at.tn, negatives, true)}
                </tr>
              </tbody>
            </table>
          </div>
          <Text size="sm" px="md" py="xs">
            Of 100 such rows that are called positive, about{" "}
            {Number.isNaN(at.precision) ? "none" : Math.round(100 * at.precision)} are so. The share of positive rows is{" "}
            {percent(positives, positives + negatives)} here; where it is lower, precision is lower too.
          </Text>
        </Card>
        <Card title="Where that is on the ROC curve">
          <Plot
            label={`ROC curve with the threshold ${num(threshold)}`}
            x="false positive rate"
            y="true positive rate"
            domain={{ x: [0, 1], y: [0, 1] }}
            lines={[{ name, colour, points: e.curves?.roc ?? [] }]}
            marks={[
              {
                x: 1 - at.specificity,
                y: at.sensitivity,
                colour: "var(--bar-other)",
                size: 7,
                title: `threshold ${num(threshold)}`,
              },
            ]}
            guide={[
              { x: 0, y: 0 },
              { x: 1, y: 1 },
            ]}
            height={260}
          />
        </Card>
      </SimpleGrid>
    </Stack>
  );
}
