// SPDX-License-Identifier: Apache-2.0
import { SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { about, v1 } from "../api/client";
import { useLive } from "../api/live";
import { count, fixed, num, plural, when } from "../format";
import { stageState } from "../graph/state";
import { Ago, Card, Tile } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { Answer, Prose } from "../parts/Told";
import { pathOf } from "../shell/places";
import { Decide } from "./Decide";
import { metricNames, termOf } from "./evaluation";
import type { Looked } from "./ModelPage";

export interface About {
  version: number;
  rules: { text: string; holds?: boolean; numbers?: string }[];
  leftOut: { dataset: string; reason: string; rows: number; subjects?: number }[];
  caveats: string[];
}

const stages: Record<string, string> = {
  Production: "It is in production: endpoints that follow the model serve it.",
  AwaitingApproval: "The rules hold. A person must approve it before it is served.",
  Candidate: "It is not judged yet.",
  Archived: "It was in production and was replaced.",
  Refused: "It is not served: a rule does not hold.",
};

export function Overview({ model, versions, shown }: Looked) {
  const { workspace } = useLive();
  const [{ version, evaluation: e }] = shown;
  const name = model.metadata.name;
  const known = useQuery(
    about<About>(
      v1(workspace, `models/${encodeURIComponent(name)}/about?version=${version.spec.number}`),
      `${version.status.stage} ${version.status.approvedBy}`,
    ),
  );
  const first = metricNames([e], model.spec.evaluate?.metrics).slice(0, 3);
  const stage = version.status.stage ?? "Candidate";
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
        {first.map((m) => {
          const v = e.metrics[m]!;
          return (
            <Tile
              key={m}
              label={termOf(m).label}
              value={fixed(v.value)}
              note={v.low === undefined ? "no interval" : `95 %: ${fixed(v.low)} to ${fixed(v.high)}`}
            />
          );
        })}
        <Tile
          label="Judged on"
          value={plural(e.population.rows, "row")}
          note={`of ${plural(e.population.subjects, "subject")}`}
        />
        <Tile
          label="Learnt from"
          value={
            <Link
              className="link"
              to={`${pathOf(workspace, "Dataset", version.spec.dataset)}?version=${version.spec.datasetVersion}`}
            >
              {version.spec.dataset} v{version.spec.datasetVersion}
            </Link>
          }
          note={`predicts ${e.target}`}
        />
        <Tile
          label="Trained"
          value={<Ago at={version.metadata.creationTimestamp} />}
          note={when(version.metadata.creationTimestamp)}
        />
      </SimpleGrid>
      {e.leakage.findings?.length ? (
        <div className={`notice ${e.leakage.verdict === "block" ? "notice-bad" : "notice-warn"}`}>
          <b>These numbers may be too good.</b> The audit of the data found something:{" "}
          <Link className="link" to={`/workspaces/${workspace}/models/${name}/leakage?version=${version.spec.number}`}>
            leakage
          </Link>
          .
        </div>
      ) : null}
      {e.warnings?.map((w) => (
        <div key={w.code + w.message} className="notice notice-warn">
          <Prose text={w.message} />
        </div>
      ))}
      {known.data?.caveats.map((c) => (
        <div key={c} className="notice notice-warn">
          {c}
        </div>
      ))}
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card title="How it stands" aside={<StateBadge state={stageState(stage)} label={stage} />}>
          <Stack gap={6}>
            <Text size="sm">{stages[stage]}</Text>
            {version.status.why && (
              <Text size="sm" className="quiet" style={{ overflowWrap: "anywhere" }}>
                {version.status.why}
              </Text>
            )}
            <dl className="facts">
              {version.status.promotedAt && (
                <>
                  <dt>{stage === "Production" ? "In production since" : "Last in production"}</dt>
                  <dd>{when(version.status.promotedAt)}</dd>
                </>
              )}
              {version.status.approvedBy && (
                <>
                  <dt>Approved by</dt>
                  <dd>{version.status.approvedBy}</dd>
                </>
              )}
            </dl>
            <Decide model={model} versions={versions} version={version} />
          </Stack>
        </Card>
        <Card title="Rules of promotion">
          <Answer of={known} what="Reading the rules">
            {(a) =>
              a.rules.length === 0 ? (
                <Text size="sm" className="quiet">
                  None are declared: every version without a leak goes into production. Write them in{" "}
                  <code>spec.promote.when</code>, for example <code>roc_auc.low &gt; 0.7</code>.
                </Text>
              ) : (
                <Stack gap={10}>
                  {a.rules.map((r) => (
                    <div key={r.text}>
                      <div style={{ display: "flex", gap: 10, justifyContent: "space-between", alignItems: "start" }}>
                        <code style={{ fontSize: 13, overflowWrap: "anywhere" }}>{r.text}</code>
                        <StateBadge
                          state={r.holds === undefined ? "waiting" : r.holds ? "ready" : "refused"}
                          label={r.holds === undefined ? "not judged" : r.holds ? "holds" : "does not hold"}
                        />
                      </div>
                      {r.numbers && (
                        <Text size="xs" className="quiet">
                          {r.numbers}
                        </Text>
                      )}
                    </div>
                  ))}
                </Stack>
              )
            }
          </Answer>
        </Card>
        <Card title="Who is in it">
          <table className="plain">
            <thead>
              <tr>
                <th>Group</th>
                <th className="number">Rows</th>
                <th className="number">Subjects</th>
              </tr>
            </thead>
            <tbody>
              {(e.classes ?? []).map((c) => (
                <tr key={c}>
                  <td>
                    {e.target} = {c}
                    {c === e.positive && e.task === "binary" ? " (positive)" : ""}
                  </td>
                  <td className="number">{count(e.population.classes?.[c])}</td>
                  <td className="number">{count(e.population.classSubjects?.[c])}</td>
                </tr>
              ))}
              <tr>
                <td>All</td>
                <td className="number">{count(e.population.rows)}</td>
                <td className="number">{count(e.population.subjects)}</td>
              </tr>
            </tbody>
          </table>
          {e.population.mean !== undefined && (
            <Text size="sm" className="quiet" mt="xs">
              The mean of {e.target} is {num(e.population.mean)}, its standard deviation {num(e.population.sd)}.
            </Text>
          )}
          <Text size="sm" className="quiet" mt="xs">
            {e.scheme.description}
          </Text>
        </Card>
        <Card title="Who was left out">
          <Answer of={known} what="Counting">
            {(a) => {
              const list = [
                ...a.leftOut,
                ...Object.entries(e.population.excluded ?? {}).map(([reason, rows]) => ({
                  dataset: "evaluation",
                  reason,
                  rows,
                  subjects: undefined,
                })),
              ];
              if (list.length === 0) return <Text size="sm">Nobody was left out on the way from the source files.</Text>;
              return (
                <>
                  <div className="scroll" tabIndex={0} role="group" aria-label="Who was left out">
                    <table className="plain">
                      <thead>
                        <tr>
                          <th>Where</th>
                          <th>Why</th>
                          <th className="number">Rows</th>
                          <th className="number">Subjects</th>
                        </tr>
                      </thead>
                      <tbody>
                        {list.map((l) => (
                          <tr key={`${l.dataset}/${l.reason}`}>
                            <td>{l.dataset}</td>
                            <td>{l.reason}</td>
                            <td className="number">{count(l.rows)}</td>
                            <td className="number">{l.subjects ? count(l.subjects) : "–"}</td>
                          </tr>
                        ))}
                      </tbody>
                    </table>
                  </div>
                  <Text size="xs" className="quiet" mt="xs">
                    Counted at each step on the way from the source files to the model.
                  </Text>
                </>
              );
            }}
          </Answer>
        </Card>
      </SimpleGrid>
    </Stack>
  );
}
