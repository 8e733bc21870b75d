// SPDX-License-Identifier: Apache-2.0
import type { Obj } from "../api/kinds";

/** What colour and icon stand for: one word for how an object is. */
export type State = "ready" | "stale" | "running" | "waiting" | "approval" | "refused" | "failed" | "unknown";

export interface Told {
  state: State;
  /** The condition's reason, or what it amounts to. */
  reason: string;
  message: string;
  since?: string;
}

const byReason: Record<string, State> = {
  Ready: "ready",
  Waiting: "waiting",
  Running: "running",
  Failed: "failed",
  Invalid: "failed",
  Cycle: "failed",
  AwaitingApproval: "approval",
  Refused: "refused",
};

const byPhase: Record<string, State> = {
  Pending: "waiting",
  Queued: "waiting",
  Starting: "running",
  Running: "running",
  Succeeded: "ready",
  Failed: "failed",
  Cancelled: "refused",
};

const byStage: Record<string, State> = {
  Candidate: "running",
  AwaitingApproval: "approval",
  Production: "ready",
  Archived: "stale",
  Refused: "refused",
};

export const phaseState = (phase: string | undefined): State => byPhase[phase ?? ""] ?? "unknown";
export const stageState = (stage: string | undefined): State => byStage[stage ?? ""] ?? "unknown";

/** stateOf reads an object's Ready condition. An object whose wanted recipe is not the one it was made by is stale. */
export function stateOf(o: Obj): Told {
  if (o.kind === "Run") {
    const phase = o.status.phase ?? "Pending";
    return { state: phaseState(phase), reason: phase, message: o.status.message ?? "", since: o.status.startedAt };
  }
  if (o.kind === "ModelVersion") {
    return {
      state: stageState(o.status.stage),
      reason: o.status.stage ?? "Candidate",
      message: o.status.why ?? "",
      since: o.status.promotedAt,
    };
  }
  const ready = o.status.conditions?.find((c) => c.type === "Ready");
  if (!ready)
    return { state: "unknown", reason: "New", message: "Fathom has not looked at it yet.", since: o.metadata.creationTimestamp };
  const told: Told = {
    state: byReason[ready.reason] ?? "unknown",
    reason: ready.reason,
    message: ready.message,
    since: ready.lastTransitionTime,
  };
  const behind = (o.status.observedGeneration ?? 0) < (o.metadata.generation ?? 0);
  const recipes = "wanted" in o.status ? (o.status as { wanted?: string; fingerprint?: string }) : undefined;
  const differs = recipes?.wanted && recipes.fingerprint && recipes.wanted !== recipes.fingerprint;
  if (told.state === "ready" && (behind || differs)) {
    return {
      ...told,
      state: "stale",
      reason: "Stale",
      message: behind ? "Its declaration changed; Fathom has not looked at it yet." : told.message,
    };
  }
  return told;
}

export const stateNames: Record<State, string> = {
  ready: "Ready",
  stale: "Stale",
  running: "Running",
  waiting: "Waiting",
  approval: "Awaits approval",
  refused: "Refused",
  failed: "Failed",
  unknown: "Unknown",
};
