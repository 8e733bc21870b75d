// SPDX-License-Identifier: Apache-2.0

// The objects as the Kubernetes API shows them; api/v1alpha1 says what each field means.

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  lastTransitionTime: string;
}

export interface Metadata {
  name: string;
  namespace: string;
  uid: string;
  creationTimestamp: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

interface Base<K extends string, Spec, Status> {
  kind: K;
  metadata: Metadata;
  spec: Spec;
  status: Status & { conditions?: Condition[]; observedGeneration?: number };
}

export interface Code {
  path?: string;
  bundle?: string;
  command: string[];
  environment?: { python?: string; requirements?: string };
}

export interface Check {
  expect?: string;
  of?: string;
  column?: string;
  notNull?: boolean;
  unique?: boolean;
  between?: number[];
  in?: string[];
  matches?: string;
}

export interface Exclusion {
  reason: string;
  rows: number;
  subjects?: number;
}

export interface Metric {
  name: string;
  value: string;
  low?: string;
  high?: string;
}

export interface Resources {
  cpu?: string;
  memory?: string;
}

export type Dataset = Base<
  "Dataset",
  {
    from: {
      files?: { url: string; format: string; pattern?: string };
      query?: { sql?: string; file?: string };
      code?: Code & { inputs?: string[] };
      capture?: { endpoint: string };
    };
    privacy?: {
      subject?: string;
      consent?: { dataset: string; purpose: string };
      pseudonymise?: string[];
      drop?: string[];
      deidentify?: { profile?: string; options?: string[] };
    };
    checks?: Check[];
    resources?: Resources;
  },
  {
    version?: number;
    fingerprint?: string;
    wanted?: string;
    rows?: number;
    subjects?: number;
    bytes?: number;
    excludedRows?: number;
    excluded?: Exclusion[];
    identified?: boolean;
    checksPassed?: number;
    inputs?: string[];
    run?: string;
    refreshAfter?: string;
    asOf?: string;
    updatedAt?: string;
  }
>;

export type Model = Base<
  "Model",
  {
    data: { dataset: string; target: string; subject?: string; features?: string[]; task?: string };
    train: { framework?: string; code: Code; workers?: number; resources?: Resources; parameters?: Record<string, unknown> };
    evaluate?: { folds?: number; by?: string; metrics?: string[]; slices?: string[]; threshold?: string };
    promote?: { when?: string[]; approval?: { role: string } };
    retrain?: { triggers?: string[]; cooldown?: string };
  },
  {
    latest?: number;
    promoted?: number;
    fingerprint?: string;
    wanted?: string;
    headline?: string;
    metrics?: Metric[];
    progress?: string;
    why?: string;
    trainedAt?: string;
    url?: string;
  }
>;

export type Stage = "Candidate" | "AwaitingApproval" | "Production" | "Archived" | "Refused";

export type ModelVersion = Base<
  "ModelVersion",
  {
    model: string;
    number: number;
    digest: string;
    fingerprint: string;
    dataset: string;
    datasetVersion: number;
    evaluation: string;
    code?: string;
    environment?: string;
    trackingRun?: string;
  },
  {
    stage?: Stage;
    why?: string;
    headline?: string;
    metrics?: Metric[];
    leakage?: string;
    rules?: string[];
    approvedBy?: string;
    promotedAt?: string;
  }
>;

export type Endpoint = Base<
  "Endpoint",
  {
    model: string;
    version?: number;
    scale?: { min?: number; max?: number; concurrency?: number };
    resources?: Resources;
    capture?: { sample?: string };
  },
  { url?: string; version?: number; next?: number; replicas?: string; switchedAt?: string }
>;

export type Report = Base<
  "Report",
  { page: string; bundle?: string },
  { version?: number; fingerprint?: string; output?: string; inputs?: string[]; run?: string; url?: string; updatedAt?: string }
>;

export type Run = Base<
  "Run",
  {
    for: { kind: string; name: string };
    step: string;
    part?: string;
    fingerprint: string;
    framework?: string;
    workers?: number;
    command: string[];
    inputs?: { name: string; dataset?: string; version?: number; manifest?: string }[];
    resources?: Resources;
    priority?: number;
    retries?: number;
    timeout?: string;
    cancel?: boolean;
  },
  {
    phase?: string;
    reason?: string;
    message?: string;
    progress?: string;
    attempt?: number;
    failures?: number;
    environment?: string;
    startedAt?: string;
    finishedAt?: string;
  }
>;

export type Obj = Dataset | Model | ModelVersion | Endpoint | Report | Run;
export type Kind = Obj["kind"];

/** What a run left in the history. */
export interface RunRecord {
  uid: string;
  workspace: string;
  name: string;
  step: string;
  forKind: string;
  forName: string;
  fingerprint: string;
  inputs?: Artifact[];
  outputs?: Artifact[];
  output?: string;
  code?: string;
  environment?: string;
  host?: Record<string, string>;
  attempt: number;
  phase: string;
  reason?: string;
  message?: string;
  started: string;
  finished: string;
  log?: string;
}

export interface Artifact {
  kind: string;
  workspace: string;
  name: string;
  version?: string;
  digest?: string;
  facts?: Record<string, string>;
  role?: string;
}

/** What an artifact was made from, down to the sources. */
export interface Tree extends Artifact {
  repeated?: boolean;
  inputs?: Tree[];
}

export interface Column {
  name: string;
  type: string;
  nullable: boolean;
}

export interface CheckResult {
  check: string;
  passed: boolean;
  failing?: number;
  message?: string;
}

export interface DatasetVersion {
  number: number;
  fingerprint: string;
  rows: number;
  bytes: number;
  columns: Column[];
  summary?: {
    report: { rowsIn: number; rowsOut: number; excluded?: Exclusion[]; checks?: CheckResult[]; identified?: boolean };
    step: string;
    subjectCount?: number;
    asOf?: string;
  };
  inputs?: Artifact[];
  createdBy?: string;
  created: string;
}

export interface ColumnProfile {
  name: string;
  type: "number" | "time" | "text" | "other";
  missing: number;
  distinct: number;
  least?: number;
  greatest?: number;
  mean?: number;
  deviation?: number;
  quantiles?: number[];
  bars?: number[];
  top?: { value: string; rows: number }[];
}

export interface Profile {
  version: number;
  rows: number;
  columns: ColumnProfile[];
}

export interface Moved {
  added: number;
  removed: number;
  kept: number;
}

export interface Difference {
  columns: { name: string; from?: string; to?: string }[];
  rows: { compared: boolean; why?: string; key?: string[]; added: number; removed: number; changed: number };
  subjects?: Moved;
  /** What it was made from that is not the same. */
  inputs: { kind: string; name: string; role: string; from?: string; to?: string }[];
  declaration?: boolean;
}

export interface Moment {
  kind: "Dataset" | "Model" | "Report";
  name: string;
  version: number;
  at: string;
  rows?: number;
  headline?: string;
  promoted?: string;
  inputs: { kind: string; name: string; version: number }[];
}

export interface Pod {
  name: string;
  phase: string;
  reason?: string;
  message?: string;
  node?: string;
  started?: string;
  restarts: number;
  cpu?: string;
  memory?: string;
}

export interface Me {
  user: string;
  groups: string[];
  workspaces: { name: string; reason: string; message: string; member: boolean }[];
}

export type Right =
  | "data"
  | "identified"
  | "upload"
  | "retryDataset"
  | "retryModel"
  | "retryReport"
  | "cancelRun"
  | "log"
  | "decide"
  | "decideAsAdmin"
  | "predict"
  | "audit"
  | "tracking";
