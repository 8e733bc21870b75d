// SPDX-License-Identifier: Apache-2.0
import { createContext, useContext, useSyncExternalStore } from "react";
import { v1 } from "./client";
import type { Kind, Obj } from "./kinds";

/** The objects of a workspace by "Kind/name", as of the last event. A new map for each event, so that it can be compared. */
export type Objects = ReadonlyMap<string, Obj>;

export interface LiveState {
  objects: Objects;
  /** connecting: nothing is known yet. lost: what is shown may be old; it is tried again. */
  connection: "connecting" | "live" | "lost";
  /** Kinds that the caller may list. */
  kinds: Kind[];
  /** Counts events. */
  revision: number;
}

export const keyOf = (o: { kind: string; metadata: { name: string } }) => `${o.kind}/${o.metadata.name}`;

/** applied is a map after a change; the old one stays as it is. */
export function applied(objects: Objects, change: { set?: Obj[]; gone?: { kind: string; name: string }[] }): Objects {
  const next = new Map(objects);
  for (const o of change.set ?? []) next.set(keyOf(o), o);
  for (const g of change.gone ?? []) next.delete(`${g.kind}/${g.name}`);
  return next;
}

const noObjects: Objects = new Map();

/** One stream of a workspace's changes, shared by all pages. */
export class Live {
  readonly workspace: string;
  private state: LiveState = { objects: noObjects, connection: "connecting", kinds: [], revision: 0 };
  private readonly listeners = new Set<() => void>();
  private source?: EventSource;
  private timer?: ReturnType<typeof setTimeout>;
  private failures = 0;

  constructor(workspace: string) {
    this.workspace = workspace;
  }

  open() {
    this.source?.close();
    const source = new EventSource(v1(this.workspace, "watch"));
    this.source = source;
    source.addEventListener("snapshot", (e) => {
      this.failures = 0;
      const told = JSON.parse((e as MessageEvent<string>).data) as { objects: Obj[]; kinds: Kind[] };
      this.set({ objects: applied(noObjects, { set: told.objects }), connection: "live", kinds: told.kinds });
    });
    source.addEventListener("changes", (e) => {
      this.set({ objects: applied(this.state.objects, JSON.parse((e as MessageEvent<string>).data)) });
    });
    source.addEventListener("error", () => {
      // A browser gives up on an answer that is no stream; then it is opened again here, more and more slowly.
      if (this.source !== source) return;
      source.close();
      this.failures++;
      if (this.failures > 1) this.set({ connection: "lost" });
      this.timer = setTimeout(() => this.open(), Math.min(30_000, 250 * 2 ** this.failures));
    });
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
  }

  private set(change: Partial<LiveState>) {
    this.state = { ...this.state, ...change, revision: this.state.revision + 1 };
    for (const l of this.listeners) l();
  }

  readonly subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly get = () => this.state;
}

export const LiveContext = createContext<Live | null>(null);

export function useLive(): LiveState & { workspace: string } {
  const live = useContext(LiveContext);
  if (!live) throw new Error("useLive outside of a workspace");
  const state = useSyncExternalStore(live.subscribe, live.get);
  return { ...state, workspace: live.workspace };
}

export function useObject<K extends Kind>(kind: K, name: string): Extract<Obj, { kind: K }> | undefined {
  return useLive().objects.get(`${kind}/${name}`) as Extract<Obj, { kind: K }> | undefined;
}

export function ofKind<K extends Kind>(objects: Objects, kind: K): Extract<Obj, { kind: K }>[] {
  const out: Extract<Obj, { kind: K }>[] = [];
  for (const o of objects.values()) if (o.kind === kind) out.push(o as Extract<Obj, { kind: K }>);
  return out;
}
