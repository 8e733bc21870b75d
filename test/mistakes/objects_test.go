// SPDX-License-Identifier: Apache-2.0

package mistakes_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
)

const (
	trainCode = "    code: {path: ./train, command: [python3, train.py]}\n"
	people    = "person,site,age,jitter,status\n" // header of the inbox
)

func dataset(body string) string {
	return "kind: Dataset\nmetadata: {name: {name}, namespace: wrong}\nspec:\n" + body
}

func model(data, rest string) string {
	return "kind: Model\nmetadata: {name: {name}, namespace: wrong}\nspec:\n  data: " + data + "\n" + rest
}

// onnx is a training that writes one of the small models of package predict.
func onnx(name string) map[string]string {
	content, err := os.ReadFile(filepath.Join("..", "..", "internal", "predict", "testdata", name+".onnx"))
	if err != nil {
		panic(err) // part of the repository
	}
	return trained("import base64, os\nopen(os.environ['FATHOM_OUTPUT'] + '/model.onnx', 'wb').write(base64.b64decode('" +
		base64.StdEncoding.EncodeToString(content) + "'))\n")
}

func trained(program string) map[string]string { return map[string]string{"train/train.py": program} }

const goodData = "{dataset: people, target: status, subject: person}"

// declarations are mistakes in objects. What has an object is taken in, and its condition tells; the rest is refused by apply.
var declarations = []mistake{
	{name: "two-sources", yaml: dataset("  from: {files: {url: inbox/people/*, format: csv}, query: {sql: select 1}}\n"),
		want: []string{"dataset/wrong/two-sources", "spec.from", "exactly one of files, query, code and capture"}},
	{name: "no-source", yaml: dataset("  from: {}\n"),
		want: []string{"dataset/wrong/no-source", "spec.from", "exactly one of files"}},
	{name: "wrong-format", yaml: dataset("  from: {files: {url: inbox/people/*, format: xlsx}}\n"),
		want: []string{"dataset/wrong/wrong-format", "spec.from.files.format", `"xlsx" is not one of "csv", "parquet"`}},
	{name: "climbing-url", yaml: dataset("  from: {files: {url: ../other/*, format: csv}}\n"),
		want: []string{"climbing-url", "spec.from.files.url", "without '..'"}},
	{name: "absolute-url", yaml: dataset("  from: {files: {url: /etc/passwd, format: csv}}\n"),
		want: []string{"absolute-url", "spec.from.files.url", "relative pattern"}},
	{name: "s3-url", yaml: dataset("  from: {files: {url: 's3://bucket/people/*.csv', format: csv}}\n"),
		want: []string{"s3-url", "spec.from.files.url", "names files in the workspace's bucket", "fathom put"}},
	{name: "file-url", yaml: dataset("  from: {files: {url: 'file:people.csv', format: csv}}\n"),
		want: []string{"file-url", "spec.from.files.url", "no other place"}},
	{name: "double-slash-url", yaml: dataset("  from: {files: {url: inbox//people.csv, format: csv}}\n"),
		want: []string{"double-slash-url", "spec.from.files.url", "empty or '.' parts"}},
	{name: "nul-url", yaml: dataset("  from: {files: {url: \"inbox/\\0.csv\", format: csv}}\n"),
		want: []string{"nul-url", "spec.from.files.url", "control characters"}},
	{name: "climbing-sql", yaml: dataset("  from: {query: {file: ../secret.sql}}\n"),
		want: []string{"climbing-sql", "spec.from.query.file", "../secret.sql lies outside", "move the file"}},
	{name: "missing-sql", yaml: dataset("  from: {query: {file: ./nowhere.sql}}\n"),
		want: []string{"missing-sql", "spec.from.query.file", "there is no file ./nowhere.sql"}},
	{name: "unknown-field", yaml: dataset("  from: {query: {sql: select 1}}\n  cheks: []\n"),
		want: []string{"unknown-field", "spec.cheks: there is no such field", "checks"}},
	{name: "privacy-on-query", yaml: dataset("  from: {query: {sql: select * from people}}\n  privacy: {drop: [person]}\n"),
		want: []string{"privacy-on-query", "privacy goes with from.files"}},
	{name: "text-without-pattern", yaml: dataset("  from: {files: {url: inbox/people/*, format: text}}\n"),
		want: []string{"spec.from.files", "pattern: format text needs a regular expression"}},
	{name: "consent-without-subject", yaml: dataset("  from: {files: {url: inbox/people/*, format: csv}}\n  privacy: {consent: {dataset: c, purpose: research}}\n"),
		want: []string{"spec.privacy", "consent needs subject"}},
	{name: "two-checks", yaml: dataset("  from: {files: {url: inbox/people/*, format: csv}}\n  checks: [{expect: count(*) > 1, column: age}]\n"),
		want: []string{"spec.checks[0]", "either expect (with of) or column"}},
	{name: "one-fold", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: 1}\n"), files: trained(""),
		want: []string{"model/wrong/one-fold", "spec.evaluate.folds", "at least 2, or 0 to leave out one subject"}},
	{name: "no-target", yaml: model("{dataset: people}", "  train:\n"+trainCode), files: trained(""),
		want: []string{"model/wrong/no-target", "spec.data.target: it is missing"}},
	{name: "missing-code", yaml: model(goodData, "  train:\n"+trainCode),
		want: []string{"spec.train.code.path", "there is no folder", "train"}},
	{name: "missing-requirements", yaml: model(goodData, "  train:\n    code: {path: ./train, command: [python3, train.py], environment: {python: wishes.txt}}\n"), files: trained(""),
		want: []string{"spec.train.code.environment.python", "there is no file wishes.txt"}},
	{name: "climbing-requirements", yaml: model(goodData, "  train:\n    code: {path: ./train, command: [python3, train.py], environment: {python: ../../wishes.txt}}\n"), files: trained(""),
		want: []string{"spec.train.code.environment.python", "lies outside", "move the file"}},
	{name: "no-command", yaml: model(goodData, "  train:\n    code: {path: ./train, command: []}\n"), files: trained(""),
		want: []string{"spec.train.code.command", "at least 1 item"}},
	{name: "scale-upside-down", yaml: "kind: Endpoint\nmetadata: {name: {name}, namespace: wrong}\nspec: {model: m, scale: {min: 3, max: 2}}\n",
		want: []string{"endpoint/wrong/scale-upside-down", "spec.scale", "scale.min must not exceed scale.max"}},
	{name: "missing-page", yaml: "kind: Report\nmetadata: {name: {name}, namespace: wrong}\nspec: {page: ./nowhere.md}\n",
		want: []string{"report/wrong/missing-page", "spec.page", "there is no file nowhere.md"}},
	{name: "no-such-workspace", yaml: "kind: Dataset\nmetadata: {name: {name}, namespace: nowhere}\nspec: {from: {query: {sql: select 1}}}\n",
		want: []string{"workspace nowhere", "there is none", "declare it"}},
	{name: "misspelt-kind", yaml: "kind: Datset\nmetadata: {name: {name}, namespace: wrong}\nspec: {}\n",
		want: []string{"document 1", `"Datset" is not one of Workspace, Dataset`}},

	{name: "wrong-indentation", yaml: "kind: Dataset\nmetadata: {name: {name}, namespace: wrong}\nspec:\n  from:\n    query:\n      sql: select 1\n     checks: []\n",
		want: []string{"object.yaml", "document 1", "line 6", "indentation"}},
	{name: "field-indented-too-little", yaml: "kind: Dataset\nmetadata: {name: {name}, namespace: wrong}\nspec:\n  from:\n  query: {sql: select 1}\n",
		want: []string{"field-indented-too-little", "spec.query", "no such field", "spec.from", "indented too little"}},
	{name: "tab-in-yaml", yaml: "kind: Dataset\nmetadata:\n\tname: {name}\n", want: []string{"object.yaml", "line 3", "tab"}},
	{name: "key-twice", yaml: "kind: Dataset\nmetadata: {name: {name}, namespace: wrong}\nspec: {from: {query: {sql: select 1}}}\nspec: {from: {query: {sql: select 2}}}\n",
		want: []string{"object.yaml", "document 1", "spec", "stands once"}},
	{name: "on-is-true", yaml: model(goodData, "  train:\n"+trainCode+"  retrain: {on: [data]}\n"), files: trained(""),
		want: []string{"spec.retrain.true", "on, off, yes or no", "in quotes"}},
	{name: "no-name", yaml: "kind: Dataset\nmetadata: {namespace: wrong}\nspec: {from: {query: {sql: select 1}}}\n", want: []string{"document 1", "Dataset has no metadata.name"}},
	{name: "no-workspace", yaml: "kind: Dataset\nmetadata: {name: {name}}\nspec: {from: {query: {sql: select 1}}}\n", want: []string{"no metadata.namespace", "or with -n"}},
	{name: "name-too-long", yaml: strings.ReplaceAll(dataset("  from: {query: {sql: select 1}}\n"), "{name}", strings.Repeat("very-", 13)+"long"),
		want: []string{"metadata.name", "at most 50 characters"}},
	{name: "name-with-underscore", yaml: strings.ReplaceAll(dataset("  from: {query: {sql: select 1}}\n"), "{name}", "scan_features"),
		want: []string{"scan_features", "metadata.name", "lower case", "-"}},
	{name: "text-for-a-number", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: five}\n"), files: trained(""),
		want: []string{"spec.evaluate.folds", "a number"}},
	{name: "quota-of-nonsense", yaml: "kind: Workspace\nmetadata: {name: {name}}\nspec: {quota: {memory: 16 GB}}\n", want: []string{"workspace/quota-of-nonsense", "spec.quota.memory"}},
	{name: "unknown-role", yaml: "kind: Workspace\nmetadata: {name: {name}}\nspec: {members: [{group: researchers, role: boss}]}\n",
		want: []string{"spec.members[0].role", "boss", "editor"}},

	// What a condition tells.
	{name: "sql-syntax", yaml: dataset("  from: {query: {sql: \"select person,\\n  age\\nfrm people\"}}\n"), object: "dataset",
		want: []string{"Invalid", "spec.from.query.sql", "line 3, column 5", `near "people"`}},
	{name: "sql-unknown-column", yaml: dataset("  from: {query: {sql: select jiter from people}}\n"), object: "dataset",
		want: []string{"Invalid", "spec.from.query.sql", "line 1, column 8", "did you mean jitter?"}},
	{name: "sql-unknown-table", yaml: dataset("  from: {query: {sql: select * from peopel}}\n"), object: "dataset",
		want: []string{"Waiting", "dataset peopel: there is none (did you mean people?)"}},
	{name: "sql-file-access", yaml: dataset("  from: {query: {sql: \"select * from read_csv('/etc/passwd')\"}}\n"), object: "dataset",
		want: []string{"Invalid", "spec.from.query.sql", "read_csv is not available", "declare a Dataset with from.files"}},
	{name: "sql-two-statements", yaml: dataset("  from: {query: {sql: \"select 1; drop table people\"}}\n"), object: "dataset",
		want: []string{"Invalid", "spec.from.query.sql", "one query"}},
	{name: "cycle-a", yaml: dataset("  from: {query: {sql: select * from cycle_b}}\n"), object: "dataset",
		want: []string{"spec.from: it depends on itself: cycle-a → cycle-b → cycle-a", "remove one of these references"}},
	{name: "cycle-b", yaml: dataset("  from: {query: {sql: select * from cycle_a}}\n"), object: "dataset",
		want: []string{"depends on itself: cycle-b → cycle-a → cycle-b"}},
	{name: "missing-input", yaml: dataset("  from: {query: {sql: select * from laboratory}}\n"), object: "dataset",
		want: []string{"Waiting", "dataset laboratory: there is none; declare it"}},
	{name: "no-files", yaml: dataset("  from: {files: {url: inbox/nothing/*, format: csv}}\n"), object: "dataset",
		want: []string{"Waiting", "inbox/nothing/* in bucket wrong", "fathom put"}},
	{name: "privacy-unknown-subject", yaml: dataset("  from: {files: {url: inbox/people/*, format: csv}}\n  privacy: {subject: persom, pseudonymise: [persom]}\n"), object: "dataset",
		want: []string{"Failed", "spec.privacy.subject", `there is no column "persom"`, `did you mean "person"?`}},
	{name: "check-unknown-column", yaml: dataset("  from: {files: {url: inbox/people/*, format: csv}}\n  checks: [{column: agee, notNull: true}]\n"), object: "dataset",
		want: []string{"Failed", "spec.checks", `there is no column "agee"`, `did you mean "age"?`}},
	{name: "check-fails", yaml: dataset("  from: {files: {url: inbox/people/*, format: csv}}\n  checks: [{column: age, between: [0, 40]}]\n"), object: "dataset",
		want: []string{"Failed", "spec.checks", "age is between 0 and 40", "inbox/people/people.csv row 2", "correct the files or the checks"}},
	{name: "check-no-sql", yaml: dataset("  from: {files: {url: inbox/people/*, format: csv}}\n  checks: [{expect: \"count(*) >\"}]\n"), object: "dataset",
		want: []string{"Failed", "spec.checks[0]", "syntax error"}},
	{name: "not-parquet", yaml: dataset("  from: {files: {url: inbox/people/*, format: parquet}}\n"), object: "dataset",
		want: []string{"Failed", "spec.from.files", "inbox/people/people.csv: this is not a readable Parquet file"}},
	{name: "bad-pattern", yaml: dataset("  from: {files: {url: inbox/people/*, format: text, pattern: \"(?P<a>\"}}\n"), object: "dataset",
		want: []string{"Failed", "spec.from.files.pattern", "missing closing )", "(?P<name>…)"}},
	{name: "code-unuploaded", yaml: dataset("  from: {code: {command: [python3, x.py], inputs: [people]}}\n"), object: "dataset",
		want: []string{"Invalid", "spec.from.code.bundle", "fathom apply"}},
	{name: "code-crashes", yaml: dataset("  from: {code: {path: ./code, command: [python3, x.py], inputs: [people]}}\n"), files: map[string]string{"code/x.py": "raise SystemExit('the scanner has no plug')"}, object: "dataset",
		want: []string{"Failed", "exit code 1: the scanner has no plug", "fathom logs code-crashes-"}},
	{name: "code-writes-nothing", yaml: dataset("  from: {code: {path: ./code, command: [python3, x.py], inputs: [people]}}\n"), files: map[string]string{"code/x.py": ""}, object: "dataset",
		want: []string{"Failed", "no *.parquet file", "$FATHOM_OUTPUT"}},
	{name: "code-unknown-program", yaml: dataset("  from: {code: {path: ./code, command: [pyton, x.py], inputs: [people]}}\n"), files: map[string]string{"code/x.py": ""}, object: "dataset",
		want: []string{"Failed", "there is no program pyton", "correct the command"}},
	{name: "unknown-target", yaml: model("{dataset: people, target: statsu, subject: person}", "  train:\n"+trainCode), files: trained(""), object: "model",
		want: []string{"Invalid", "spec.data.target", `dataset people has no column "statsu"`, "its columns are person"}},
	{name: "unknown-feature", yaml: model("{dataset: people, target: status, features: [age, gitter]}", "  train:\n"+trainCode), files: trained(""), object: "model",
		want: []string{"Invalid", "spec.data.features[1]", `no column "gitter"`}},
	{name: "unknown-slice", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {slices: [sight]}\n"), files: trained(""), object: "model",
		want: []string{"Invalid", "spec.evaluate.slices[0]", `no column "sight"`}},
	{name: "unknown-metric", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {metrics: [rocauc]}\n"), files: trained(""), object: "model",
		want: []string{"Invalid", "spec.evaluate.metrics[0]", `no metric "rocauc"`, "use one of roc_auc"}},
	{name: "rule-unknown-metric", yaml: model(goodData, "  train:\n"+trainCode+"  promote: {when: [\"roc_auk > 0.6\"]}\n"), files: trained(""), object: "model",
		want: []string{"Invalid", "spec.promote.when[0]", "undeclared reference to 'roc_auk'", "use metric names"}},
	{name: "rule-no-condition", yaml: model(goodData, "  train:\n"+trainCode+"  promote: {when: [\"roc_auc + 1.0\"]}\n"), files: trained(""), object: "model",
		want: []string{"Invalid", "spec.promote.when[0]", "a rule must be true or false"}},
	{name: "bundle-missing", yaml: model(goodData, "  train:\n    code: {command: [python3, train.py]}\n"), object: "model",
		want: []string{"Invalid", "spec.train.code.bundle", "fathom apply"}},
	{name: "model-without-data", yaml: model("{dataset: peeple, target: status}", "  train:\n"+trainCode), files: trained(""), object: "model",
		want: []string{"Waiting", "dataset peeple: there is none; declare it, or correct spec.data.dataset"}},
	{name: "too-many-folds", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: 50}\n"), files: trained(""), object: "model",
		want: []string{"Failed", "evaluate.folds: 50 folds of 12 subjects", "choose 2 to 12 folds"}},
	{name: "training-crashes", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: 2}\n"), files: trained("raise ValueError('the sun is too low')"), object: "model",
		want: []string{"Failed", "exit code 1: ValueError: the sun is too low", "fathom logs"}},
	{name: "training-without-model", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: 2}\n"), files: trained("print('done')"), object: "model",
		want: []string{"Failed", "model.onnx", "$FATHOM_OUTPUT"}},
	{name: "model-of-other-columns", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: 2}\n"), files: onnx("columns"), object: "model",
		want: []string{"Failed", "evaluate", "sex", "spec.train.code"}},
	{name: "training-needs-a-package", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: 2}\n"), files: trained("import skleern"), object: "model",
		want: []string{"Failed", "No module named 'skleern'", "requirements file"}},
	{name: "requirements-contradict", yaml: model(goodData, "  train:\n    code: {path: ./train, command: [python3, train.py], environment: {python: requirements.txt}}\n"), object: "model",
		files: map[string]string{"train/train.py": "", "train/requirements.txt": "numpy==2.1.0\nnumpy==2.2.0\n"}, want: []string{"Failed", "requirements: line 2", "numpy"}},
	{name: "requirements-of-an-option", yaml: model(goodData, "  train:\n    code: {path: ./train, command: [python3, train.py], environment: {python: requirements.txt}}\n"), object: "model",
		files: map[string]string{"train/train.py": "", "train/requirements.txt": "--index-url http://example.com\n"}, want: []string{"Failed", "line 1"}},
	{name: "training-writes-garbage", yaml: model(goodData, "  train:\n"+trainCode+"  evaluate: {folds: 2}\n"), files: trained("import os\nopen(os.environ['FATHOM_OUTPUT'] + '/model.onnx', 'wb').write(b'garbage')"), object: "model",
		want: []string{"Failed", "evaluate", "spec.train.code", "model"}},
	{name: "quota-too-small", yaml: "kind: Dataset\nmetadata: {name: {name}, namespace: tiny}\nspec: {from: {files: {url: inbox/people/*, format: csv}}}\n", object: "dataset", until: "quota",
		given: "Workspace `tiny` has `quota: {cpu: 100m, memory: 64Mi}`.", want: []string{"quota", "tiny", "cpu"}},
	{name: "endpoint-without-model", yaml: "kind: Endpoint\nmetadata: {name: {name}, namespace: wrong}\nspec: {model: nobody}\n", object: "endpoint",
		want: []string{"Waiting", "model nobody: there is none; declare it, or correct spec.model"}},
	{name: "report-broken-sql", yaml: "kind: Report\nmetadata: {name: {name}, namespace: wrong}\nspec: {page: ./page.md}\n", files: map[string]string{"page.md": "# A\n\n```sql\nselect agge from people\n```\n"}, object: "report",
		want: []string{"Failed", "page.md: line 4, column 8", "did you mean age?"}},
}
