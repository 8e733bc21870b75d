// SPDX-License-Identifier: Apache-2.0
import { queryOptions, useQuery } from "@tanstack/react-query";
import type { DatasetVersion, Difference, Me, Moment, Pod, Profile, Right, Run, RunRecord, Tree } from "./kinds";

/** An answer that is no success: what the server said, and what to do. */
export class Fault extends Error {
  readonly status: number;
  readonly kind: string;
  constructor(status: number, kind: string, message: string) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

async function faultOf(answer: Response): Promise<Fault> {
  const text = await answer.text();
  try {
    const told = JSON.parse(text) as { error?: string; kind?: string };
    return new Fault(answer.status, told.kind ?? "", told.error ?? text);
  } catch {
    return new Fault(answer.status, "", text || answer.statusText);
  }
}

/** Every request of the app goes through here: same origin, the session's cookie, and the header that other sites cannot send. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("X-Fathom-Console", "1");
  if (init.body && !headers.has("Content-Type")) headers.set("Content-Type", "application/json");
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers, credentials: "same-origin" });
  } catch (e) {
    if (init.signal?.aborted) throw e;
    throw new Fault(
      0,
      "Unavailable",
      "Fathom does not answer. Is it still running? Start it with `fathom up`; this page goes on by itself.",
    );
  }
  if (!answer.ok) throw await faultOf(answer);
  return answer;
}

export const getJSON = async <T>(path: string, signal?: AbortSignal): Promise<T> =>
  (await ask(path, { signal })).json() as Promise<T>;

export const post = (path: string, body?: unknown, signal?: AbortSignal) =>
  ask(path, { method: "POST", body: body === undefined ? undefined : JSON.stringify(body), signal });

/** Reads one JSON object a line. */
export async function lines(answer: Response): Promise<Record<string, unknown>[]> {
  const text = await answer.text();
  return text
    .split("\n")
    .filter((l) => l !== "")
    .map((l) => JSON.parse(l) as Record<string, unknown>);
}

const enc = encodeURIComponent;
/** Paths below a workspace: `v1` are the console's own, `verbs` those that the command line uses too. */
export const v1 = (ws: string, rest: string) => `/api/v1/workspaces/${enc(ws)}/${rest}`;
export const verbs = (ws: string, rest: string) => `/api/workspaces/${enc(ws)}/${rest}`;

const version = (n?: number) => (n ? `?version=${n}` : "");

// A version never changes, so what is known of one is kept for good.
const forever = { staleTime: Number.POSITIVE_INFINITY };

/** What else is asked about one object: its key begins with the path, so that equal questions are asked once. */
export const about = <T>(path: string, stamp: string | number = "", keep = false) =>
  queryOptions({
    queryKey: ["about", path, stamp],
    queryFn: ({ signal }) => getJSON<T>(path, signal),
    ...(keep ? forever : {}),
  });

export const queries = {
  me: () => queryOptions({ queryKey: ["me"], queryFn: ({ signal }) => getJSON<Me>("/api/v1/me", signal) }),
  rights: (ws: string) =>
    queryOptions({
      queryKey: ["rights", ws],
      queryFn: ({ signal }) => getJSON<{ may: Record<Right, boolean> }>(v1(ws, "rights"), signal),
    }),
  timeline: (ws: string, stamp: string) =>
    queryOptions({
      queryKey: ["timeline", ws, stamp],
      queryFn: ({ signal }) => getJSON<{ moments: Moment[] }>(v1(ws, "timeline"), signal),
    }),
  /** The newest versions first; current says when to ask again. */
  versions: (ws: string, dataset: string, current: number) =>
    queryOptions({
      queryKey: ["versions", ws, dataset, current],
      queryFn: ({ signal }) =>
        getJSON<{ versions: DatasetVersion[] | null; next: string }>(
          verbs(ws, `datasets/${enc(dataset)}/versions?limit=1000`),
          signal,
        ),
    }),
  profile: (ws: string, dataset: string, n: number) =>
    queryOptions({
      queryKey: ["profile", ws, dataset, n],
      queryFn: ({ signal }) => getJSON<Profile>(v1(ws, `datasets/${enc(dataset)}/profile${version(n)}`), signal),
      ...forever,
    }),
  sample: (ws: string, dataset: string, n: number) =>
    queryOptions({
      queryKey: ["sample", ws, dataset, n],
      queryFn: async ({ signal }) => lines(await ask(v1(ws, `datasets/${enc(dataset)}/sample${version(n)}`), { signal })),
      ...forever,
    }),
  /** key: columns, separated by commas, that say which rows are the same row; "" compares whole rows. */
  difference: (ws: string, dataset: string, from: number, to: number, key: string) =>
    queryOptions({
      queryKey: ["difference", ws, dataset, from, to, key],
      queryFn: ({ signal }) => {
        const asked = new URLSearchParams({ from: String(from), to: String(to), ...(key ? { key } : {}) });
        return getJSON<Difference>(verbs(ws, `datasets/${enc(dataset)}/diff?${asked}`), signal);
      },
      ...forever,
    }),
  why: (ws: string, kind: "datasets" | "models", name: string, n: number) =>
    queryOptions({
      queryKey: ["why", ws, kind, name, n],
      queryFn: ({ signal }) => getJSON<Tree>(verbs(ws, `${kind}/${enc(name)}/why${version(n)}`), signal),
      ...forever,
    }),
  runs: (ws: string, filter: Record<string, string>, stamp: string) =>
    queryOptions({
      queryKey: ["runs", ws, filter, stamp],
      queryFn: ({ signal }) =>
        getJSON<{ runs: RunRecord[] | null; next: string }>(
          verbs(ws, `runs?${new URLSearchParams({ limit: "1000", ...filter })}`),
          signal,
        ),
    }),
  run: (ws: string, name: string, stamp: string) =>
    queryOptions({
      queryKey: ["run", ws, name, stamp],
      queryFn: ({ signal }) => getJSON<{ object?: Run; record?: RunRecord; pods: Pod[] }>(v1(ws, `runs/${enc(name)}`), signal),
    }),
};

export async function sql(ws: string, statement: string, limit: number, signal?: AbortSignal) {
  return lines(await post(verbs(ws, "sql"), { sql: statement, format: "json", limit }, signal));
}

const nothing: Partial<Record<Right, boolean>> = {};

/** What the caller may do here; empty until it is known. Pages leave out what may not be done; the server decides in any case. */
export function useRights(ws: string): Partial<Record<Right, boolean>> {
  return useQuery(queries.rights(ws)).data?.may ?? nothing;
}
