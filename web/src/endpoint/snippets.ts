// SPDX-License-Identifier: Apache-2.0

// A question to an endpoint in the Open Inference Protocol, from a form; and programs that ask the same.

export interface Signature {
  name: string;
  versions?: string[];
  platform?: string;
  inputs: { name: string; datatype: string; shape: number[] }[];
  outputs: { name: string; datatype: string; shape: number[] }[];
  /** Fathom's own: the columns that the model was trained on, in order. */
  features?: { name: string; type: string }[];
  classes?: string[];
  label?: string;
  scores?: string;
}

export interface Field {
  name: string;
  text: boolean;
}

/** What the form asks for: the features, or one value for each tensor. */
export function fieldsOf(s: Signature): Field[] {
  if (s.features?.length) return s.features.map((f) => ({ name: f.name, text: f.type === "text" || f.type === "time" }));
  return s.inputs.map((i) => ({ name: i.name, text: i.datatype === "BYTES" }));
}

export interface Question {
  inputs: { name: string; shape: number[]; datatype: string; data: (number | string | null)[] }[];
}

/** The request for one row; a number that is left empty is missing. Throws an error that names the field. */
export function questionOf(fields: Field[], values: Record<string, string>): Question {
  return {
    inputs: fields.map((f) => {
      const value = values[f.name]?.trim() ?? "";
      if (f.text) return { name: f.name, shape: [1, 1], datatype: "BYTES", data: [value] };
      if (value === "") throw new Error(`${f.name} is empty`);
      const number = Number(value.replace(",", "."));
      if (Number.isNaN(number)) throw new Error(`${f.name}: "${value}" is not a number`);
      return { name: f.name, shape: [1, 1], datatype: "FP64", data: [number] };
    }),
  };
}

export interface Answered {
  model_version?: string;
  outputs: { name: string; datatype: string; shape: number[]; data: (number | string)[] }[];
}

/** The scores by class, highest first, if the answer has them. */
export function scoresOf(s: Signature, a: Answered): { name: string; score: number }[] | undefined {
  const found = a.outputs.find((o) => o.name === s.scores)?.data;
  if (!found || !s.classes?.length || found.length !== s.classes.length) return undefined;
  return s.classes.map((name, i) => ({ name, score: Number(found[i]) })).sort((x, y) => y.score - x.score);
}

export const curl = (url: string, q: Question) =>
  `curl --cacert "$FATHOM_STATE/pki/ca.crt" \\
  -H "Authorization: Bearer $(fathom token)" \\
  -H 'Content-Type: application/json' \\
  ${url}/infer -d @- <<'EOF'
${JSON.stringify(q)}
EOF`;

export const python = (url: string, q: Question) =>
  `import os, subprocess, requests

token = subprocess.check_output(["fathom", "token"], text=True).strip()
answer = requests.post(
    "${url}/infer",
    headers={"Authorization": f"Bearer {token}"},
    verify=os.environ["FATHOM_STATE"] + "/pki/ca.crt",
    json={"inputs": [
${q.inputs.map((i) => `        ${JSON.stringify(i)},`).join("\n")}
    ]},
)
answer.raise_for_status()
print(answer.json()["outputs"])`;
