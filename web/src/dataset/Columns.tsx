// SPDX-License-Identifier: Apache-2.0
import { Group, Select, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Fragment, lazy, Suspense, useState } from "react";
import { useSearchParams } from "react-router";
import { queries } from "../api/client";
import { useLive } from "../api/live";
import type { ColumnProfile, Profile } from "../api/kinds";
import { count, dayOf, num, percent } from "../format";
import { MiniBars } from "../parts/MiniBars";
import { Answer, FaultView, Loading } from "../parts/Told";
import type { Looked } from "./DatasetPage";
import { aligned, shift } from "./profile";

const ColumnDetail = lazy(() => import("./ColumnDetail"));

/** Every column with what it holds, and how it moved since another version. */
export function Columns({ dataset, version, versions }: Looked) {
  const { workspace } = useLive();
  const name = dataset.metadata.name;
  const [other, setOther] = useState<string | null>(null);
  const profile = useQuery(queries.profile(workspace, name, version.number));
  const compared = useQuery({ ...queries.profile(workspace, name, Number(other)), enabled: other !== null });
  if (profile.error) {
    return (
      <>
        <FaultView error={profile.error} retry={() => profile.refetch()} />
        <Schema version={version} />
      </>
    );
  }
  return (
    <Answer of={profile} what="Counting what the columns hold">
      {(data) => (
        <>
          <Group mb="sm" gap="sm">
            <Select
              size="xs"
              w={230}
              clearable
              aria-label="Compare with another version"
              placeholder="Compare with another version"
              data={versions
                .filter((v) => v.number !== version.number)
                .map((v) => ({ value: String(v.number), label: `version ${v.number}` }))}
              value={other}
              onChange={setOther}
            />
            <Text size="sm" className="quiet">
              {other
                ? "Version "
                : `${count(data.rows)} rows. Bars are of equal width from the least to the greatest value; a column's name opens it.`}
              {other && (
                <>
                  {version.number} <Swatch color="var(--bar)" /> against {other} <Swatch color="var(--bar-other)" />, each as a
                  share of its rows.
                </>
              )}
            </Text>
          </Group>
          <Table
            profile={data}
            other={other ? compared.data : undefined}
            types={new Map(version.columns.map((c) => [c.name, c.type]))}
          />
        </>
      )}
    </Answer>
  );
}

const Swatch = ({ color }: { color: string }) => (
  <span aria-hidden style={{ display: "inline-block", width: 10, height: 10, borderRadius: 2, background: color }} />
);

function Table({ profile, other, types }: { profile: Profile; other?: Profile; types: Map<string, string> }) {
  const [search, setSearch] = useSearchParams();
  const open = search.get("column") ?? "";
  const choose = (name: string) =>
    setSearch(
      (s) => {
        if (name) s.set("column", name);
        else s.delete("column");
        return s;
      },
      { replace: true },
    );
  const full = profile.columns.filter((c) => c.missing < profile.rows || profile.rows === 0);
  const bare = profile.columns.filter((c) => !full.includes(c));
  const past = new Map(other?.columns.map((c) => [c.name, c]));
  return (
    <section className="card" style={{ overflowX: "auto" }} tabIndex={0} aria-label="Columns">
      <table className="plain" style={{ minWidth: 820 }}>
        <thead>
          <tr>
            <th>Column</th>
            <th>Type</th>
            <th style={{ width: 200 }}>Distribution</th>
            <th className="number">Missing</th>
            <th className="number">Distinct</th>
            <th className="number">Mean ± SD</th>
            <th>Range and quantiles</th>
            {other && <th className="number">Shift</th>}
          </tr>
        </thead>
        <tbody>
          {full.map((c) => (
            <Fragment key={c.name}>
              <tr>
                <td style={{ fontWeight: 600 }}>
                  <button
                    type="button"
                    className="sorter"
                    aria-expanded={open === c.name}
                    onClick={() => choose(open === c.name ? "" : c.name)}
                  >
                    {c.name}
                  </button>
                </td>
                <td className="quiet mono">{types.get(c.name)}</td>
                <td>
                  <Distribution column={c} other={past.get(c.name)} rows={profile.rows} />
                </td>
                <td className="number">
                  {c.missing === 0 ? (
                    <span className="quiet">0</span>
                  ) : (
                    <span title={`${count(c.missing)} rows`}>{percent(c.missing, profile.rows)}</span>
                  )}
                </td>
                <td className="number">{count(c.distinct)}</td>
                <td className="number" style={{ whiteSpace: "nowrap" }}>
                  {c.mean === undefined ? "" : `${num(c.mean)} ± ${num(c.deviation, 3)}`}
                </td>
                <td>
                  <Range column={c} />
                </td>
                {other && <td className="number">{shiftText(c, past.get(c.name))}</td>}
              </tr>
              {open === c.name && (
                <tr>
                  <td colSpan={other ? 8 : 7}>
                    <Suspense fallback={<Loading what="Drawing" />}>
                      <ColumnDetail
                        column={c}
                        rows={profile.rows}
                        other={past.get(c.name)}
                        names={[`version ${profile.version}`, `version ${other?.version ?? "before"}`]}
                      />
                    </Suspense>
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
      {bare.length > 0 && (
        <Text size="sm" className="quiet" px="sm" py="xs" style={{ borderTop: "1px solid var(--line)" }}>
          Always missing: {bare.map((c) => c.name).join(", ")}.
        </Text>
      )}
    </section>
  );
}

function shiftText(now: ColumnProfile, then: ColumnProfile | undefined) {
  if (!then) return <span className="quiet">new</span>;
  const psi = shift(now, then);
  if (psi === undefined) return <span className="quiet">–</span>;
  const [state, word] = psi >= 0.25 ? ["failed", "large"] : psi >= 0.1 ? ["stale", "some"] : ["ready", "small"];
  return (
    <span className={`state state-${state}`} style={{ paddingLeft: 8 }} title={`population stability index ${psi.toFixed(3)}`}>
      {word} {psi.toFixed(2)}
    </span>
  );
}

function Distribution({ column, other, rows }: { column: ColumnProfile; other?: ColumnProfile; rows: number }) {
  if (column.distinct === 0) return <span className="quiet">always missing</span>;
  if (column.top && column.distinct <= 12) {
    const total = Math.max(1, rows - column.missing);
    const widest = Math.max(...column.top.map((t) => t.rows), 1);
    return (
      <div style={{ fontSize: 12, lineHeight: 1.45, minWidth: 180 }}>
        {column.top.slice(0, 5).map((t) => (
          <div key={t.value} style={{ display: "flex", gap: 6, alignItems: "center" }}>
            <span
              style={{ flex: "0 0 72px", overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap" }}
              title={t.value}
            >
              {t.value === "" ? "(empty)" : t.value}
            </span>
            <span
              aria-hidden
              style={{ height: 8, width: `${(64 * t.rows) / widest}px`, background: "var(--bar)", borderRadius: 2 }}
            />
            <span className="quiet" style={{ whiteSpace: "nowrap" }}>
              {percent(t.rows, total)}
            </span>
          </div>
        ))}
        {column.top.length > 5 && <span className="quiet">and {column.distinct - 5} more</span>}
      </div>
    );
  }
  if (column.bars) {
    const pair = other?.bars ? aligned(column, other) : undefined;
    const label = `Histogram of ${column.name} from ${num(column.least)} to ${num(column.greatest)}`;
    return <MiniBars bars={pair ? pair[0] : column.bars} other={pair?.[1]} label={label} />;
  }
  if (column.top && column.top[0]!.rows > 1) {
    return (
      <span
        className="quiet"
        style={{
          fontSize: 12,
          display: "block",
          maxWidth: 190,
          overflow: "hidden",
          textOverflow: "ellipsis",
          whiteSpace: "nowrap",
        }}
        title={`${column.top[0]!.value}: ${count(column.top[0]!.rows)} rows`}
      >
        most often {percent(column.top[0]!.rows, rows)}: {column.top[0]!.value}
      </span>
    );
  }
  return (
    <span className="quiet" style={{ fontSize: 12 }}>
      {column.distinct === rows - column.missing ? "every value is different" : "one value"}
    </span>
  );
}

function Range({ column }: { column: ColumnProfile }) {
  const { least, greatest, quantiles, type } = column;
  if (least === undefined || greatest === undefined) return null;
  if (type === "time") {
    return (
      <span style={{ fontSize: 13, whiteSpace: "nowrap" }}>
        {dayOf(least * 1000)} – {dayOf(greatest * 1000)}
      </span>
    );
  }
  return (
    <span style={{ fontSize: 13, whiteSpace: "nowrap", fontVariantNumeric: "tabular-nums" }}>
      {num(least, 3)} – {num(greatest, 3)}
      {quantiles && (
        <>
          <br />
          <span className="quiet" title="25 %, median, 75 %">
            {num(quantiles[1], 3)} · {num(quantiles[2], 3)} · {num(quantiles[3], 3)}
          </span>
        </>
      )}
    </span>
  );
}

/** What anyone may know of rows that they may not read. */
function Schema({ version }: { version: Looked["version"] }) {
  return (
    <section className="card" aria-label="Schema">
      <table className="plain">
        <thead>
          <tr>
            <th>Column</th>
            <th>Type</th>
          </tr>
        </thead>
        <tbody>
          {version.columns.map((c) => (
            <tr key={c.name}>
              <td style={{ fontWeight: 600 }}>{c.name}</td>
              <td className="quiet mono">
                {c.type}
                {c.nullable ? "" : ", never missing"}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
