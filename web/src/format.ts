// SPDX-License-Identifier: Apache-2.0

// Numbers and times as people read them, the same on every page.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n: number | undefined) => (n === undefined ? "–" : whole.format(n));

/** At most so many significant digits, without a tail of zeros; thousands are grouped. */
export function num(x: number | undefined | null, digits = 4): string {
  if (x === undefined || x === null || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x !== 0 && (Math.abs(x) < 1e-4 || Math.abs(x) >= 1e9)) return x.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return new Intl.NumberFormat("en", { maximumSignificantDigits: digits }).format(x).replace("-", "−");
}

/** Three decimals, for what lies between 0 and 1 and is compared; large numbers as num has them. */
export function fixed(x: number | undefined | null): string {
  if (x === undefined || x === null || !Number.isFinite(x) || Math.abs(x) >= 100) return num(x);
  return x
    .toFixed(3)
    .replace(/^-0\.000$/, "0.000")
    .replace("-", "−");
}

export function percent(part: number, of: number): string {
  if (of === 0) return "–";
  const p = (100 * part) / of;
  if (p > 0 && p < 0.1) return "<0.1 %";
  return `${p === 0 || p >= 10 ? Math.round(p) : p.toFixed(1)} %`;
}

export function bytes(n: number | undefined): string {
  if (n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  let x = n;
  while (x >= 1024 && i < units.length - 1) {
    x /= 1024;
    i++;
  }
  return `${i === 0 || x >= 100 ? Math.round(x) : x.toFixed(1)} ${units[i]}`;
}

/** A length of time from seconds: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min", "3 d". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min${seconds % 60 >= 1 ? ` ${Math.floor(seconds % 60)} s` : ""}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  return `${Math.floor(hours / 24)} d`;
}

export function ago(at: string | undefined, now: number): string {
  if (!at) return "–";
  const seconds = Math.max(0, (now - Date.parse(at)) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${Math.round(seconds)} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

const stamp = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

export const when = (at: string | number | undefined) => (at === undefined || at === "" ? "–" : stamp.format(new Date(at)));
export const dayOf = (at: string | number) => day.format(new Date(at));

export const digest = (d: string | undefined) => (d ? d.replace(/^sha256:/, "").slice(0, 12) : "–");

/** "1 row", "2 rows". */
export const plural = (n: number, one: string, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
