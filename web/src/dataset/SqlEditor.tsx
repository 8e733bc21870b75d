// SPDX-License-Identifier: Apache-2.0
import { autocompletion, closeBrackets, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { useEffect, useRef } from "react";
import { nonce } from "../nonce";

interface Props {
  value: string;
  onChange: (text: string) => void;
  onRun: (text: string) => void;
  /** Columns by table, for completion. */
  tables: Record<string, string[]>;
}

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: tags.string, color: "var(--ready)" },
  { tag: tags.number, color: "var(--refused)" },
  { tag: tags.comment, color: "var(--quiet)", fontStyle: "italic" },
]);

const language = (tables: Record<string, string[]>) => sql({ dialect: PostgreSQL, schema: tables, upperCaseKeywords: false });

export function SqlEditor({ value, onChange, onRun, tables }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const schema = useRef(new Compartment());
  const latest = useRef({ onChange, onRun });
  latest.current = { onChange, onRun };
  // biome-ignore lint/correctness/useExhaustiveDependencies: the editor is made once and told of changes below
  useEffect(() => {
    const run = (v: EditorView) => {
      latest.current.onRun(v.state.doc.toString());
      return true;
    };
    const made = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: value,
        extensions: [
          EditorView.cspNonce.of(nonce),
          Prec.highest(keymap.of([{ key: "Mod-Enter", run }])),
          lineNumbers(),
          history(),
          bracketMatching(),
          closeBrackets(),
          autocompletion(),
          keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap]),
          schema.current.of(language(tables)),
          syntaxHighlighting(colours),
          placeholder("select … from a dataset"),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": "SQL statement" }),
          EditorView.theme({ ".cm-content": { minHeight: "92px" }, ".cm-scroller": { maxHeight: "320px", overflow: "auto" } }),
          EditorView.updateListener.of((u) => u.docChanged && latest.current.onChange(u.state.doc.toString())),
        ],
      }),
    });
    view.current = made;
    return () => made.destroy();
  }, []);
  const known = JSON.stringify(tables);
  useEffect(() => {
    view.current?.dispatch({ effects: schema.current.reconfigure(language(JSON.parse(known))) });
  }, [known]);
  return <div ref={host} />;
}
