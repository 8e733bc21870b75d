// SPDX-License-Identifier: Apache-2.0
import { Text } from "@mantine/core";
import { IconChevronDown, IconChevronRight } from "@tabler/icons-react";
import { useState } from "react";
import { Link } from "react-router";
import { useLive } from "../api/live";
import type { Tree } from "../api/kinds";
import { bytes, count, digest } from "../format";
import { KindIcon } from "./State";

const objectKinds: Record<string, { kind: string; path: string }> = {
  dataset: { kind: "Dataset", path: "datasets" },
  model: { kind: "Model", path: "models" },
  report: { kind: "Report", path: "reports" },
};

/** Files of one artifact are many and alike: this many are listed at once. */
const filesAtOnce = 20;

/** What an artifact was made from, as a tree that opens by click or key. */
export function TreeView({ tree, depth = 0 }: { tree: Tree; depth?: number }) {
  const [open, setOpen] = useState(depth < 3);
  const [all, setAll] = useState(false);
  const { workspace } = useLive();
  const inputs = tree.inputs ?? [];
  const files = inputs.filter((i) => i.kind === "file");
  const others = inputs.filter((i) => i.kind !== "file");
  const shownFiles = all ? files : files.slice(0, files.length > filesAtOnce ? 3 : filesAtOnce);
  const object = objectKinds[tree.kind];
  return (
    <div style={{ marginLeft: depth ? 20 : 0 }}>
      <div style={{ display: "flex", alignItems: "center", gap: 6, padding: "2px 0", minHeight: 26 }}>
        {inputs.length > 0 ? (
          <button
            type="button"
            className="sorter"
            onClick={() => setOpen(!open)}
            aria-expanded={open}
            aria-label={`${open ? "Close" : "Open"} ${tree.name}`}
            style={{ display: "flex" }}
          >
            {open ? <IconChevronDown size={16} /> : <IconChevronRight size={16} />}
          </button>
        ) : (
          <span style={{ width: 16 }} />
        )}
        <KindIcon kind={object?.kind ?? (tree.kind === "file" ? "File" : tree.kind)} />
        <Text size="sm" span className="text" style={{ overflowWrap: "anywhere" }}>
          {object ? (
            <Link
              className="link"
              to={`/workspaces/${workspace}/${object.path}/${tree.name}${tree.kind === "dataset" && tree.version ? `?version=${tree.version}` : ""}`}
            >
              {tree.name} {tree.version ? `v${tree.version}` : ""}
            </Link>
          ) : tree.kind === "run" ? (
            <Link className="link" to={`/workspaces/${workspace}/runs/${tree.name}`}>
              {tree.name}
            </Link>
          ) : (
            tree.name
          )}{" "}
          <span className="quiet">{note(tree)}</span>
        </Text>
      </div>
      {open && (
        <>
          {others.map((i) => (
            <TreeView key={`${i.role}/${i.kind}/${i.name}/${i.version}/${i.digest}`} tree={i} depth={depth + 1} />
          ))}
          {shownFiles.map((i) => (
            <TreeView key={`${i.name}/${i.digest}`} tree={i} depth={depth + 1} />
          ))}
          {shownFiles.length < files.length && (
            <button
              type="button"
              className="sorter link"
              style={{ marginLeft: 42, fontSize: 13, color: "var(--accent)" }}
              onClick={() => setAll(true)}
            >
              and {count(files.length - shownFiles.length)} more files
            </button>
          )}
        </>
      )}
    </div>
  );
}

function note(t: Tree): string {
  const parts = [];
  if (t.role && t.role !== "input" && t.role !== t.kind) parts.push(t.role);
  else if (!objectKinds[t.kind] && t.kind !== "file") parts.push(t.kind);
  if (t.facts?.size) parts.push(bytes(Number(t.facts.size)));
  if (t.digest && !objectKinds[t.kind]) parts.push(digest(t.digest));
  if (t.repeated) parts.push("shown above");
  return parts.join(" · ");
}
