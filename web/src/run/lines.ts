// SPDX-License-Identifier: Apache-2.0
import type { Run, RunRecord } from "../api/kinds";

/** A run as a line of a list, whether it lives or has ended. */
export interface Line {
  uid: string;
  name: string;
  phase: string;
  step: string;
  forKind: string;
  forName: string;
  started?: string;
  seconds?: number;
  message: string;
  live: boolean;
}

const ended = ["Succeeded", "Failed", "Cancelled"];

const began = (at: string | undefined) => (at && !at.startsWith("0001") ? at : undefined);

/** Live runs first, then the history, the latest first. A run that has just ended is in both: its record counts. */
export function linesOf(live: Run[], records: RunRecord[]): Line[] {
  const recorded = new Set(records.map((r) => r.uid));
  const now = live
    .filter((r) => !recorded.has(r.metadata.uid))
    .sort((a, b) => b.metadata.creationTimestamp.localeCompare(a.metadata.creationTimestamp))
    .map((r): Line => {
      const { phase = "Pending", progress, message, startedAt, finishedAt } = r.status;
      return {
        uid: r.metadata.uid,
        name: r.metadata.name,
        phase,
        step: r.spec.step,
        forKind: r.spec.for.kind,
        forName: r.spec.for.name,
        started: startedAt,
        seconds: startedAt && finishedAt ? (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000 : undefined,
        message: [progress, message].filter(Boolean).join(" · "),
        live: !ended.includes(phase),
      };
    });
  const past = records.map((r): Line => {
    const started = began(r.started);
    return {
      uid: r.uid,
      name: r.name,
      phase: r.phase,
      step: r.step,
      forKind: r.forKind,
      forName: r.forName,
      started: started ?? r.finished,
      seconds: started ? (Date.parse(r.finished) - Date.parse(started)) / 1000 : undefined,
      message: r.message ?? "",
      live: false,
    };
  });
  return [...now, ...past];
}
