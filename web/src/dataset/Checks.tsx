// SPDX-License-Identifier: Apache-2.0
import { Text } from "@mantine/core";
import { IconAlertTriangle, IconCheck, IconMinus } from "@tabler/icons-react";
import { when } from "../format";
import { Empty } from "../parts/Told";
import type { Looked } from "./DatasetPage";

const most = 24;

/** Each check in each version, oldest on the left. A version whose checks do not hold is never made, so red is what checks were before they were declared. */
export function Checks({ dataset, versions }: Looked) {
  const shown = versions.slice(0, most).reverse();
  const names = [...new Set(shown.flatMap((v) => v.summary?.report.checks?.map((c) => c.check) ?? []))];
  if (names.length === 0) {
    return (
      <Empty title="No checks are declared">
        Checks keep wrong data out: a version that breaks one is not made, and everybody keeps the last good one. In the dataset's
        spec, for example <code>{'checks: [{column: jitter, notNull: true, between: [0, 1]}, {expect: "count(*) >= 30"}]'}</code>
      </Empty>
    );
  }
  const failing = dataset.status.conditions?.find((c) => c.type === "Ready" && c.reason === "Failed");
  return (
    <>
      {failing && (
        <Text size="sm" mb="sm" role="alert" style={{ color: "var(--failed)" }}>
          The next version was not made: {failing.message}
        </Text>
      )}
      <section className="card" style={{ overflowX: "auto" }} tabIndex={0} aria-label="Checks by version">
        <table className="plain">
          <thead>
            <tr>
              <th>Check</th>
              {shown.map((v) => (
                <th key={v.number} title={when(v.created)} style={{ textAlign: "center" }}>
                  v{v.number}
                </th>
              ))}
              <th>What did not hold</th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const results = shown.map((v) => v.summary?.report.checks?.find((c) => c.check === name));
              const last = results.findLast((r) => r && !r.passed);
              return (
                <tr key={name}>
                  <td>
                    <code>{name}</code>
                  </td>
                  {results.map((r, i) => (
                    <td key={shown[i]!.number} style={{ textAlign: "center" }}>
                      {r === undefined ? (
                        <IconMinus size={16} color="var(--quiet)" aria-label="not declared then" />
                      ) : r.passed ? (
                        <IconCheck size={17} color="var(--ready)" aria-label="holds" />
                      ) : (
                        <IconAlertTriangle size={17} color="var(--failed)" aria-label="does not hold" />
                      )}
                    </td>
                  ))}
                  <td className="quiet">{last?.message}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </>
  );
}
