// SPDX-License-Identifier: Apache-2.0

// What an evaluation holds (internal/evaluate says what each field means), and what follows from it.

export interface Measured {
  value: number;
  low?: number;
  high?: number;
  method: string;
  n: number;
  subjects: number;
}

export interface Point {
  x: number;
  y: number;
  threshold?: number;
}

export interface Slice {
  column: string;
  value: string;
  rows: number;
  subjects: number;
  small?: boolean;
  metrics: Record<string, Measured>;
}

export interface Finding {
  kind: string;
  severity: "none" | "warn" | "block";
  message: string;
  subjects?: string[];
  rows?: number[];
  columns?: string[];
  count: number;
}

export interface Tensor {
  name: string;
  type: string;
  shape: number[];
}

export interface Evaluation {
  task: "binary" | "multiclass" | "regression";
  target: string;
  classes?: string[];
  positive?: string;
  threshold?: number;
  scheme: { by: string; folds: number; method: string; seed?: number; bootstrap?: number; description: string };
  population: {
    rows: number;
    subjects: number;
    classes?: Record<string, number>;
    classSubjects?: Record<string, number>;
    mean?: number;
    sd?: number;
    excluded?: Record<string, number>;
  };
  metrics: Record<string, Measured>;
  undefined?: Record<string, string>;
  folds?: { fold: number; name: string; rows: number; subjects: number; trainRows: number; metrics: Record<string, number> }[];
  subjects?: { rows: number; metrics: Record<string, Measured> };
  slices?: Slice[];
  importances?: { metric: string; repeats: number; features: { feature: string; drop: number; sd: number; folds?: number[] }[] };
  leakage: { verdict: string; findings?: Finding[] };
  curves?: {
    roc?: Point[];
    pr?: Point[];
    calibration?: { predicted: number; observed: number; low: number; high: number; rows: number }[];
    scatter?: Point[];
  };
  confusion?: { classes: string[]; counts: number[][] };
  signature: { features: { name: string; type: string }[]; inputs: Tensor[]; outputs: Tensor[]; label?: string; scores: string };
  examples?: { inputs: Record<string, unknown>; outputs: number[] }[];
  warnings?: { code: string; message: string }[];
}

interface Term {
  label: string;
  meaning: string;
  /** Lies between 0 and 1 by nature. */
  share?: boolean;
  /** What is best: as great, as small, or as near to a value as can be. */
  best: "high" | "low" | number;
}

const terms: Record<string, Term> = {
  roc_auc: {
    label: "ROC AUC",
    meaning: "How well it ranks: 0.5 is a coin's toss, 1 ranks every positive row above every negative one.",
    share: true,
    best: "high",
  },
  pr_auc: {
    label: "PR AUC",
    meaning: "Precision averaged over all recalls; guessing reaches the share of positive rows.",
    share: true,
    best: "high",
  },
  accuracy: { label: "Accuracy", meaning: "Share of rows classified correctly at the threshold.", share: true, best: "high" },
  balanced_accuracy: {
    label: "Balanced accuracy",
    meaning: "Mean of the classes' shares of correct rows: a rare class counts as much as a frequent one.",
    share: true,
    best: "high",
  },
  sensitivity: {
    label: "Sensitivity",
    meaning: "Share of the positive rows that are found at the threshold.",
    share: true,
    best: "high",
  },
  specificity: {
    label: "Specificity",
    meaning: "Share of the negative rows that are left alone at the threshold.",
    share: true,
    best: "high",
  },
  f1: { label: "F1", meaning: "Harmonic mean of precision and sensitivity at the threshold.", share: true, best: "high" },
  brier: {
    label: "Brier score",
    meaning: "Mean squared distance of the predicted probability from what happened; 0 is best.",
    share: true,
    best: "low",
  },
  log_loss: { label: "Log loss", meaning: "Penalty for confident mistakes; 0 is best.", best: "low" },
  calibration_slope: {
    label: "Calibration slope",
    meaning: "1 is best. Below 1 the probabilities are too extreme, above 1 too timid.",
    best: 1,
  },
  calibration_intercept: {
    label: "Calibration intercept",
    meaning: "0 is best. Below 0 risks are predicted too high on the whole, above 0 too low.",
    best: 0,
  },
  rmse: { label: "RMSE", meaning: "Typical size of an error in the target's unit, large errors weighing more.", best: "low" },
  mae: { label: "MAE", meaning: "Mean size of an error in the target's unit.", best: "low" },
  r2: {
    label: "R²",
    meaning: "Share of the target's variation that is explained; 0 is no better than always predicting the mean.",
    best: "high",
  },
};

export const termOf = (metric: string): Term =>
  terms[metric] ?? { label: metric.replaceAll("_", " "), meaning: "", best: "high" };

/** The metrics of several evaluations, the declared ones first, then as above. */
export function metricNames(evaluations: Evaluation[], declared: string[] = []): string[] {
  const there = new Set(evaluations.flatMap((e) => Object.keys(e.metrics)));
  const order = [...declared, ...Object.keys(terms), ...there];
  return [...new Set(order)].filter((m) => there.has(m));
}

/** better is 1 if a is better than b for the metric, -1 if worse, 0 if alike. */
export function better(metric: string, a: number, b: number): number {
  const { best } = termOf(metric);
  if (best === "high") return Math.sign(a - b);
  if (best === "low") return Math.sign(b - a);
  return Math.sign(Math.abs(b - best) - Math.abs(a - best));
}

/** apart tells whether two intervals do not touch; undefined without intervals. */
export function apart(a: Measured | undefined, b: Measured | undefined): boolean | undefined {
  if (a?.low === undefined || a.high === undefined || b?.low === undefined || b.high === undefined) return undefined;
  return a.low > b.high || b.low > a.high;
}

export interface AtThreshold {
  tp: number;
  fp: number;
  tn: number;
  fn: number;
  sensitivity: number;
  specificity: number;
  precision: number;
  negative: number;
  accuracy: number;
  f1: number;
}

/**
 * The confusion at any threshold, from the ROC curve and the numbers of rows: no row is looked at. Exact while the curve has all
 * its points (at most 200 different scores); else that of the nearest point drawn at or above the threshold.
 */
export function atThreshold(e: Evaluation, threshold: number): AtThreshold | undefined {
  const roc = e.curves?.roc;
  const classes = e.population.classes;
  if (!roc?.length || !classes || e.positive === undefined) return undefined;
  const positives = classes[e.positive] ?? 0;
  const negatives = e.population.rows - positives;
  let at: Point = { x: 0, y: 0 };
  for (const p of roc) if (p.threshold !== undefined && p.threshold >= threshold - 1e-12) at = p;
  const tp = Math.round(at.y * positives);
  const fp = Math.round(at.x * negatives);
  const [fn, tn] = [positives - tp, negatives - fp];
  return {
    tp,
    fp,
    tn,
    fn,
    sensitivity: tp / positives,
    specificity: tn / negatives,
    precision: tp / (tp + fp),
    negative: tn / (tn + fn),
    accuracy: (tp + tn) / (positives + negatives),
    f1: (2 * tp) / (2 * tp + fp + fn),
  };
}

const methods: Record<string, string> = {
  delong: "DeLong's method",
  "bootstrap-subject": "resampling whole subjects",
  "bootstrap-record": "resampling rows",
  wilson: "Wilson's method",
  newcombe: "Newcombe's method",
};

/** How the intervals were made, in a sentence. */
export function intervalSentence(e: Evaluation): string {
  const used = [...new Set(Object.values(e.metrics).map((m) => methods[m.method]))].filter((m) => m !== undefined);
  if (used.length === 0) return "No intervals could be computed.";
  const resampled = used.some((m) => m.startsWith("resampling")) && e.scheme.bootstrap ? ` ${e.scheme.bootstrap} times` : "";
  const why = used.some((m) => m.includes("subjects")) ? ": rows of one subject are alike and do not count as independent" : "";
  return `The 95 % intervals are by ${used.join(" and ")}${resampled}${why}.`;
}

export const findingNames: Record<string, { title: string; meaning: string }> = {
  SubjectOnBothSides: {
    title: "People on both sides",
    meaning:
      "It was tested on people that it had been trained on. It may recognise the person in place of the condition, so the numbers are too good.",
  },
  DuplicateRows: {
    title: "Rows that are alike",
    meaning: "The same rows stood in training and in test. It may have learnt them by heart, so the numbers are too good.",
  },
  FeatureGivesTargetAway: {
    title: "A feature gives the target away",
    meaning:
      "A feature says nearly by itself what is to be predicted. Ask whether it would be known at the time of a prediction.",
  },
  SplitByRecord: {
    title: "Split by row",
    meaning: "Single rows were held out, not whole subjects, so the numbers say nothing about new people.",
  },
};
