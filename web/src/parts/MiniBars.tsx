// SPDX-License-Identifier: Apache-2.0

/** A small histogram. Two series (each as a share of its own total) lie over each other to compare. */
export function MiniBars({
  bars,
  other,
  width = 180,
  height = 36,
  label,
}: {
  bars: number[];
  other?: number[];
  width?: number;
  height?: number;
  label: string;
}) {
  const share = (list: number[]) => {
    const total = list.reduce((a, b) => a + b, 0) || 1;
    return list.map((n) => n / total);
  };
  const series = [share(bars), ...(other ? [share(other)] : [])];
  const top = Math.max(...series.flat(), 1e-9);
  return (
    <svg className="bars" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      <line x1={0} x2={width} y1={height - 0.5} y2={height - 0.5} stroke="var(--line)" />
      {series.map((values, s) =>
        values.map((v, i) => {
          const step = width / values.length;
          const h = v === 0 ? 0 : Math.max(1.5, (v / top) * (height - 2));
          return (
            <rect
              key={`${s}-${i}`}
              className={s === 1 ? "other" : undefined}
              x={i * step + 0.5}
              y={height - 1 - h}
              width={Math.max(1, step - 1)}
              height={h}
              opacity={series.length > 1 ? 0.6 : 1}
            />
          );
        }),
      )}
    </svg>
  );
}
