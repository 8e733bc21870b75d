// SPDX-License-Identifier: Apache-2.0

const units: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

/** The number that a Kubernetes quantity stands for: "500m" is 0.5, "16Gi" is 16·2³⁰. */
export function quantity(text: string | undefined): number | undefined {
  const parts = /^([0-9.]+(?:e[+-]?[0-9]+)?)([A-Za-z]*)$/.exec(text ?? "");
  const unit = parts && units[parts[2]!];
  return unit ? Number(parts[1]) * unit : undefined;
}
