// SPDX-License-Identifier: Apache-2.0
import { Stack, Text } from "@mantine/core";
import { count, fixed, num } from "../format";
import { Card } from "../parts/Page";
import { Forest, Legend } from "../parts/Plot";
import { apart, better, intervalSentence, type Measured, metricNames, termOf } from "./evaluation";
import type { Looked, Shown } from "./ModelPage";

const told = (m: Measured | undefined) =>
  m === undefined ? "–" : m.low === undefined ? fixed(m.value) : `${fixed(m.value)} (${fixed(m.low)} to ${fixed(m.high)})`;

export function Metrics({ model, shown }: Looked) {
  const names = metricNames(
    shown.map((s) => s.evaluation),
    model.spec.evaluate?.metrics,
  );
  const [first, ...others] = shown;
  const e = first.evaluation;
  const shares = names.filter((m) => termOf(m).share);
  return (
    <Stack gap="md">
      {shares.length > 1 && (
        <Card title="Metrics with 95 % intervals" aside={shown.length > 1 ? <Legend of={shown} /> : undefined}>
          <Forest
            label={`Metrics of ${shown.map((s) => s.name).join(" and ")} with 95 % intervals; the table below has the numbers`}
            rows={shares.map((m) => ({ name: termOf(m).label, values: shown.map((s) => s.evaluation.metrics[m]) }))}
            series={shown}
            domain={[0, 1]}
          />
        </Card>
      )}
      <Card title="All metrics" pad={false}>
        <div className="scroll" tabIndex={0} role="group" aria-label="All metrics">
          <table className="plain">
            <thead>
              <tr>
                <th>Metric</th>
                {shown.map((s) => (
                  <th key={s.name} className="number">
                    {s.name}
                  </th>
                ))}
                {others.length > 0 && <th>Difference</th>}
              </tr>
            </thead>
            <tbody>
              {names.map((m) => (
                <tr key={m}>
                  <td style={{ minWidth: 200 }}>
                    <b>{termOf(m).label}</b>
                    <Text size="xs" className="quiet">
                      {termOf(m).meaning}
                    </Text>
                  </td>
                  {shown.map((s) => (
                    <td key={s.name} className="number" style={{ whiteSpace: "nowrap" }}>
                      {told(s.evaluation.metrics[m])}
                      {!s.evaluation.metrics[m] && s.evaluation.undefined?.[m] && (
                        <Text size="xs" className="quiet">
                          {s.evaluation.undefined[m]}
                        </Text>
                      )}
                    </td>
                  ))}
                  {others.length > 0 && <td>{others.map((o) => difference(m, first, o))}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <Text size="xs" className="quiet" px="md" py="xs">
          Every number comes from rows that the model which scored them never saw in training. {intervalSentence(e)}
          {e.threshold ? ` A row counts as positive from a predicted probability of ${num(e.threshold)}.` : ""}
          {others.length > 0 &&
            " Intervals that touch do not show that one version is better; those that do not touch do, if both were judged on the same people."}
        </Text>
      </Card>
      {e.subjects && (
        <Card title="With one answer a subject" pad={false}>
          <Text size="sm" className="quiet" px="md">
            A person is judged by all their rows together: the predictions of each subject were averaged first.
          </Text>
          <div className="scroll" tabIndex={0} role="group" aria-label="With one answer a subject">
            <table className="plain">
              <thead>
                <tr>
                  <th>Metric</th>
                  {shown.map((s) => (
                    <th key={s.name} className="number">
                      {s.name}
                      {s.evaluation.subjects ? `, ${count(s.evaluation.subjects.rows)} subjects` : ""}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {names.map((m) => (
                  <tr key={m}>
                    <td>{termOf(m).label}</td>
                    {shown.map((s) => (
                      <td key={s.name} className="number" style={{ whiteSpace: "nowrap" }}>
                        {told(s.evaluation.subjects?.metrics[m])}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </Card>
      )}
      {(e.folds?.length ?? 0) > 0 && <Folds shown={first} names={names.slice(0, 4)} />}
    </Stack>
  );
}

function Folds({ shown, names }: { shown: Shown; names: string[] }) {
  return (
    <Card title={`Each fold alone, ${shown.name}`} pad={false}>
      <div className="scroll" tabIndex={0} role="group" aria-label="Each fold alone">
        <table className="plain">
          <thead>
            <tr>
              <th>Fold</th>
              <th className="number">Trained on rows</th>
              <th className="number">Held out rows</th>
              <th className="number">Subjects</th>
              {names.map((m) => (
                <th key={m} className="number">
                  {termOf(m).label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.evaluation.folds?.map((f) => (
              <tr key={f.fold}>
                <td>{f.name}</td>
                <td className="number">{count(f.trainRows)}</td>
                <td className="number">{count(f.rows)}</td>
                <td className="number">{count(f.subjects)}</td>
                {names.map((m) => (
                  <td key={m} className="number">
                    {fixed(f.metrics[m])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Text size="xs" className="quiet" px="md" py="xs">
        Folds are small, so their numbers scatter; what counts is that none stands far apart.
      </Text>
    </Card>
  );
}

/** How the first version differs from another: the sign says which is better, the word whether the intervals touch. */
function difference(metric: string, first: Shown, other: Shown) {
  const [a, b] = [first.evaluation.metrics[metric], other.evaluation.metrics[metric]];
  if (!a || !b) return null;
  const delta = a.value - b.value;
  const good = better(metric, a.value, b.value);
  const clear = apart(a, b);
  return (
    <div key={other.name} style={{ whiteSpace: "nowrap" }}>
      <span style={{ fontVariantNumeric: "tabular-nums", fontWeight: 600 }}>
        {delta > 0 ? "+" : ""}
        {num(delta, 2)}
      </span>{" "}
      <span className="quiet">
        {good === 0 ? "alike" : good > 0 ? "better" : "worse"} than v{other.version.spec.number}
        {clear === undefined ? "" : clear ? ", clearly" : ", intervals touch"}
      </span>
    </div>
  );
}
