// SPDX-License-Identifier: Apache-2.0
import { Stack, Text } from "@mantine/core";
import { Card } from "../parts/Page";
import { StateBadge } from "../parts/State";
import { findingNames } from "./evaluation";
import type { Looked } from "./ModelPage";

/** Could the numbers be too good? */
export function Leakage({ shown }: Looked) {
  return (
    <Stack gap="md">
      {shown.map((s) => {
        const findings = s.evaluation.leakage.findings ?? [];
        return (
          <Card
            key={s.name}
            title={`Could the numbers of ${s.name} be too good?`}
            aside={
              findings.length === 0 ? (
                <StateBadge state="ready" label="no finding" />
              ) : (
                <StateBadge
                  state={s.evaluation.leakage.verdict === "block" ? "failed" : "stale"}
                  label={s.evaluation.leakage.verdict === "block" ? "blocks promotion" : "warning"}
                />
              )
            }
          >
            {findings.length === 0 ? (
              <Text size="sm">
                No subject stands on both sides of a fold, no row is repeated across folds, and no single feature gives the target
                away.
              </Text>
            ) : (
              <Stack gap="sm">
                {findings.map((f) => (
                  <div key={f.kind + f.message} className={`notice ${f.severity === "block" ? "notice-bad" : "notice-warn"}`}>
                    <b>{findingNames[f.kind]?.title ?? f.kind}.</b> {findingNames[f.kind]?.meaning}
                    <Text size="sm" mt={4} style={{ overflowWrap: "anywhere" }}>
                      {f.message}
                    </Text>
                    {(f.columns ?? f.subjects)?.length ? (
                      <Text size="xs" className="quiet" mt={2}>
                        {(f.columns ?? f.subjects)!.slice(0, 20).join(", ")}
                        {f.count > 20 ? ` and ${f.count - 20} more` : ""}
                      </Text>
                    ) : null}
                  </div>
                ))}
              </Stack>
            )}
            <Text size="xs" className="quiet" mt="sm">
              How rows were held out: {s.evaluation.scheme.description}
            </Text>
          </Card>
        );
      })}
    </Stack>
  );
}
