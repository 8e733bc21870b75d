// SPDX-License-Identifier: Apache-2.0
import { Button, Code, CopyButton, Group, Progress, SimpleGrid, Stack, Tabs, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { about, post, useRights, v1, verbs } from "../api/client";
import { useLive } from "../api/live";
import type { Endpoint } from "../api/kinds";
import { fixed, num } from "../format";
import type { Evaluation } from "../model/evaluation";
import { Card } from "../parts/Page";
import { Answer, Empty, FaultView } from "../parts/Told";
import {
  type Answered,
  curl,
  type Field,
  fieldsOf,
  python,
  type Question,
  questionOf,
  type Signature,
  scoresOf,
} from "./snippets";

/** A form that the model's signature makes, the answer, and programs that ask the same. */
export function TryIt({ endpoint }: { endpoint: Endpoint }) {
  const { workspace } = useLive();
  const may = useRights(workspace);
  const name = encodeURIComponent(endpoint.metadata.name);
  const version = endpoint.status.version ?? 0;
  const signature = useQuery({
    ...about<Signature>(v1(workspace, `endpoints/${name}/signature`), version),
    enabled: may.predict === true && version > 0,
  });
  const evaluation = useQuery({
    ...about<Evaluation>(
      verbs(workspace, `models/${encodeURIComponent(endpoint.spec.model)}/evaluation?version=${version}`),
      "",
      true,
    ),
    enabled: version > 0,
  });
  if (may.predict === false)
    return (
      <Empty title="Your role does not ask endpoints">
        Viewers, editors and admins of the workspace may; an owner changes roles.
      </Empty>
    );
  if (version === 0)
    return (
      <Empty title="No version is served yet">
        The endpoint serves what the model {endpoint.spec.model} promotes; its page says what is missing.
      </Empty>
    );
  return (
    <Answer of={signature} what="Asking how it is called">
      {(s) =>
        evaluation.data || evaluation.error ? (
          <Form endpoint={endpoint} signature={s} example={evaluation.data?.examples?.[0]?.inputs} />
        ) : null
      }
    </Answer>
  );
}

function Form({ endpoint, signature, example }: { endpoint: Endpoint; signature: Signature; example?: Record<string, unknown> }) {
  const { workspace } = useLive();
  const fields = fieldsOf(signature);
  const typical = Object.fromEntries(fields.map((f) => [f.name, shortly(example?.[f.name])]));
  const [values, setValues] = useState<Record<string, string>>(typical);
  const asked = useMutation({
    mutationFn: async (q: Question) => {
      const began = performance.now();
      const answer = await post(v1(workspace, `endpoints/${encodeURIComponent(endpoint.metadata.name)}/predict`), q);
      const told = (await answer.json()) as Answered;
      return {
        told,
        took: performance.now() - began,
        version: answer.headers.get("X-Fathom-Model-Version") ?? told.model_version,
        request: answer.headers.get("X-Request-Id"),
      };
    },
  });
  let question: Question | undefined;
  let wrong = "";
  try {
    question = questionOf(fields, values);
  } catch (e) {
    wrong = (e as Error).message;
  }
  return (
    <Stack gap="md">
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <Card title="Ask">
          <form
            onSubmit={(e) => {
              e.preventDefault();
              if (question) asked.mutate(question);
            }}
          >
            <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="xs">
              {fields.map((f: Field) => (
                <TextInput
                  key={f.name}
                  size="xs"
                  label={f.name}
                  description={f.text ? "text" : "number"}
                  descriptionProps={{ style: { color: "var(--quiet)" } }}
                  inputMode={f.text ? "text" : "decimal"}
                  value={values[f.name] ?? ""}
                  error={wrong.startsWith(`${f.name}:`) || wrong === `${f.name} is empty` ? wrong : undefined}
                  onChange={(e) => {
                    const value = e.currentTarget.value;
                    setValues((v) => ({ ...v, [f.name]: value }));
                  }}
                />
              ))}
            </SimpleGrid>
            <Group mt="md" gap="xs">
              <Button type="submit" size="sm" loading={asked.isPending} disabled={!question}>
                Predict
              </Button>
              <Button size="sm" variant="default" onClick={() => setValues(typical)}>
                Typical row
              </Button>
              <Text size="xs" className="quiet">
                {endpoint.spec.capture?.sample ? "What you ask may be captured as data." : ""}
              </Text>
            </Group>
          </form>
        </Card>
        <Card title="Answer">
          <div aria-live="polite">
            {asked.error ? (
              <FaultView error={asked.error} />
            ) : asked.data ? (
              <Told signature={signature} {...asked.data} />
            ) : (
              <Empty title="Not asked yet">The form holds a typical row of the training data: press Predict.</Empty>
            )}
          </div>
        </Card>
      </SimpleGrid>
      {question && <Snippets url={`${endpoint.status.url}/v2/models/${endpoint.spec.model}`} question={question} />}
      <Card title="Signature" pad={false}>
        <div className="scroll" tabIndex={0} role="group" aria-label="Tensors of the model">
          <table className="plain">
            <thead>
              <tr>
                <th>Tensor</th>
                <th>For</th>
                <th>Type</th>
                <th>Shape</th>
              </tr>
            </thead>
            <tbody>
              {[
                ...signature.inputs.map((t) => ({ ...t, for: "input" })),
                ...signature.outputs.map((t) => ({ ...t, for: "output" })),
              ].map((t) => (
                <tr key={t.for + t.name}>
                  <td className="mono">{t.name}</td>
                  <td>{t.for}</td>
                  <td>{t.datatype}</td>
                  <td className="mono">[{t.shape.map((n) => (n < 0 ? "any" : n)).join(", ")}]</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <Text size="xs" className="quiet" px="md" py="xs">
          Open Inference Protocol v2. A request may send the tensors above, or one tensor for each feature, as the form does.
        </Text>
      </Card>
    </Stack>
  );
}

const shortly = (v: unknown) =>
  typeof v === "number" ? String(Number(v.toPrecision(6))) : v === undefined || v === null ? "" : String(v);

function Told({
  signature,
  told,
  took,
  version,
  request,
}: {
  signature: Signature;
  told: Answered;
  took: number;
  version?: string;
  request?: string | null;
}) {
  const scores = scoresOf(signature, told);
  const label = told.outputs.find((o) => o.name === signature.label)?.data[0];
  return (
    <Stack gap="sm">
      {label !== undefined && (
        <Text fw={650} fz={24} lh={1.2}>
          {String(label)}
        </Text>
      )}
      {scores ? (
        <Stack gap={6}>
          {scores.map((s) => (
            <div key={s.name}>
              <Group justify="space-between" gap="xs">
                <Text size="sm">class {s.name}</Text>
                <Text size="sm" style={{ fontVariantNumeric: "tabular-nums" }}>
                  {fixed(s.score)}
                </Text>
              </Group>
              <Progress value={100 * s.score} color="var(--bar)" aria-label={`Probability of class ${s.name}`} />
            </div>
          ))}
        </Stack>
      ) : (
        told.outputs.map((o) => (
          <Text size="sm" key={o.name}>
            <span className="quiet">{o.name}</span>{" "}
            {o.data
              .slice(0, 20)
              .map((d) => (typeof d === "number" ? num(d, 6) : d))
              .join(", ")}
          </Text>
        ))
      )}
      <Text size="xs" className="quiet">
        By version {version}, in {num(took, 3)} ms as this browser saw it{request ? `; request ${request}` : ""}.
      </Text>
      <details>
        <summary>The answer as it came</summary>
        <Code block mt={4} tabIndex={0} role="group" aria-label="The answer as JSON">
          {JSON.stringify(told, null, 1)}
        </Code>
      </details>
    </Stack>
  );
}

function Snippets({ url, question }: { url: string; question: Question }) {
  const programs = [
    { id: "curl", title: "curl", text: curl(url, question) },
    { id: "python", title: "Python", text: python(url, question) },
  ];
  return (
    <Card title="The same from a program">
      <Tabs defaultValue="curl" keepMounted={false}>
        <Tabs.List mb="xs" aria-label="Language">
          {programs.map((p) => (
            <Tabs.Tab key={p.id} value={p.id}>
              {p.title}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {programs.map((p) => (
          <Tabs.Panel key={p.id} value={p.id}>
            <Group justify="flex-end" mb={4}>
              <CopyButton value={p.text}>
                {({ copied, copy }) => (
                  <Button size="compact-xs" variant="default" onClick={copy}>
                    {copied ? "Copied" : "Copy"}
                  </Button>
                )}
              </CopyButton>
            </Group>
            <Code block tabIndex={0} aria-label={`${p.title} program`} role="group">
              {p.text}
            </Code>
          </Tabs.Panel>
        ))}
      </Tabs>
    </Card>
  );
}
