// SPDX-License-Identifier: Apache-2.0
import { Anchor, Box, Checkbox, Text, TextInput } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { ask, Fault, verbs } from "../api/client";
import { useLive } from "../api/live";
import { count } from "../format";
import { Card } from "../parts/Page";

/** Characters that are kept on the page; all of it is behind the link. */
const most = 400_000;

/** A run's log, as it is written while the run lives. */
export function Log({ name, live }: { name: string; live: boolean }) {
  const { workspace } = useLive();
  const [text, setText] = useState("");
  const [note, setNote] = useState("");
  const [filter, setFilter] = useState("");
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const path = verbs(workspace, `runs/${encodeURIComponent(name)}/log`);
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    setText("");
    const read = async () => {
      try {
        const answer = await ask(`${path}?follow=${live}`, { signal: stop.signal });
        setNote("");
        const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          const more = part.value;
          setText((t) => (t + more).slice(-most));
        }
      } catch (e) {
        if (stop.signal.aborted) return;
        setNote(e instanceof Error ? e.message : String(e));
        // Before its pods start there is no log; it is asked again while the run lives.
        if (live && e instanceof Fault && e.status === 404) timer = setTimeout(read, 1500);
      }
    };
    void read();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, live]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: new text scrolls down
  useEffect(() => {
    if (follow && live && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text, follow, live]);
  const lines = filter ? text.split("\n").filter((l) => l.toLowerCase().includes(filter.toLowerCase())) : undefined;
  return (
    <Card
      title="Log"
      pad={false}
      aside={
        <Box style={{ display: "flex", gap: 12, alignItems: "center", flexWrap: "wrap" }}>
          {live && <Checkbox size="xs" label="Follow" checked={follow} onChange={(e) => setFollow(e.currentTarget.checked)} />}
          <TextInput
            size="xs"
            w={160}
            placeholder="Filter lines"
            aria-label="Filter lines"
            value={filter}
            onChange={(e) => setFilter(e.currentTarget.value)}
          />
          <Anchor size="sm" href={path} download={`${name}.log`}>
            Download
          </Anchor>
        </Box>
      }
    >
      <div
        ref={box}
        tabIndex={0}
        role="log"
        aria-label={`Log of run ${name}`}
        style={{ maxHeight: 480, overflow: "auto", borderTop: "1px solid var(--line)", borderRadius: "0 0 8px 8px" }}
      >
        {text ? (
          <pre className="log">{lines ? lines.join("\n") : text}</pre>
        ) : (
          <Text size="sm" className="quiet" p="md">
            {note || (live ? "Nothing is written yet." : "It wrote nothing.")}
          </Text>
        )}
      </div>
      {lines && (
        <Text size="xs" className="quiet" px="md" pb="xs">
          {count(lines.length)} lines match
        </Text>
      )}
    </Card>
  );
}
