// SPDX-License-Identifier: Apache-2.0
import {
  IconAlertTriangle,
  IconBan,
  IconCircleCheck,
  IconClock,
  IconDatabase,
  IconFileText,
  IconFolder,
  IconHandStop,
  IconHelp,
  IconLoader2,
  IconPlayerPlay,
  IconReport,
  IconRotateClockwise,
  IconTargetArrow,
  IconWorldUpload,
} from "@tabler/icons-react";
import type { State } from "../graph/state";
import { stateNames } from "../graph/state";

const icons: Record<State, typeof IconClock> = {
  ready: IconCircleCheck,
  stale: IconRotateClockwise,
  running: IconLoader2,
  waiting: IconClock,
  approval: IconHandStop,
  refused: IconBan,
  failed: IconAlertTriangle,
  unknown: IconHelp,
};

/** How an object is: colour, icon and word, so that colour alone never says it. */
export function StateBadge({ state, label }: { state: State; label?: string }) {
  const Icon = icons[state];
  return (
    <span className={`state state-${state}`}>
      <Icon size={14} stroke={2.2} aria-hidden />
      {label ?? stateNames[state]}
    </span>
  );
}

const kinds: Record<string, typeof IconClock> = {
  Dataset: IconDatabase,
  Model: IconTargetArrow,
  ModelVersion: IconTargetArrow,
  Endpoint: IconWorldUpload,
  Report: IconReport,
  Run: IconPlayerPlay,
  Source: IconFolder,
};

export function KindIcon({ kind, size = 16 }: { kind: string; size?: number }) {
  const Icon = kinds[kind] ?? IconFileText;
  return <Icon size={size} stroke={1.8} aria-hidden style={{ flex: "none" }} />;
}
