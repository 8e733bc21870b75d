// SPDX-License-Identifier: Apache-2.0

package mistakes_test

// reaching are mistakes on the way to a Fathom.
var reaching = []mistake{
	{name: "fathom-is-not-running", given: "Nothing was started yet, or with another `--state`.", line: "status", as: "missing", want: []string{"kubeconfig", "is not there", "fathom up"}},
	{name: "fathom-was-stopped", line: "status", as: "closed", want: []string{"nothing answers at", "fathom up"}},
	{name: "the-kubeconfig-is-of-another-cluster", given: "`KUBECONFIG` names a Kubernetes cluster without Fathom.", line: "status", as: "other",
		want: []string{"runs no Fathom", "--kubeconfig", "KUBECONFIG"}},
	{name: "the-kubeconfig-is-of-a-former-state-directory", given: "The server's certificate comes from another authority than the kubeconfig's.", line: "status", as: "stranger",
		want: []string{"certificate", "kubeconfig"}},
	{name: "the-kubeconfig-is-broken", line: "status", as: "broken", want: []string{"broken.kubeconfig"}},
	{name: "the-token-is-not-valid", line: "status -n wrong", as: "garbage", want: []string{"kubeconfig", "certificate or token"}},
}

// lines are mistakes on the command line.
var lines = []mistake{
	{name: "a-misspelt-verb", line: "stauts", want: []string{`"stauts"`, "did you mean status"}},
	{name: "a-verb-of-another-tool", line: "get datasets", want: []string{`"get"`, "fathom --help"}},
	{name: "an-unknown-flag", line: "status --follow", want: []string{"--follow", "fathom status --help"}},
	{name: "an-unknown-format", line: "status -o xml", want: []string{`"xml"`, "json, yaml or wide"}},
	{name: "a-missing-argument", line: "why", want: []string{"fathom why", "for example"}},
	{name: "a-kind-that-there-is-not", line: "show table voice", want: []string{`"table" is not a kind`, "dataset"}},
	{name: "apply-without-a-file", line: "apply", want: []string{"fathom apply -f"}},
	{name: "apply-of-a-file-that-is-not-there", line: "apply -f studdy/", want: []string{"no file or folder studdy/"}},
	{name: "apply-of-a-folder-without-YAML", line: "apply -f base/train", want: []string{"base/train", "*.yaml"}},
	{name: "a-workspace-that-there-is-not", line: "status -n neurolgy", want: []string{"workspace neurolgy", "there is none", "tiny, wrong"}},
	{name: "no-workspace-is-named-and-there-are-several", line: "status", want: []string{"there are several: tiny, wrong", "-n"}},
	{name: "an-object-that-there-is-not", line: "show dataset cohrt -n wrong", want: []string{"dataset cohrt", "fathom status"}},
	{name: "put-of-a-file-that-is-not-there", line: "put -n wrong visits.csv inbox/voice/", want: []string{"visits.csv"}},
	{name: "put-without-a-target", line: "put -n wrong base/people.csv", want: []string{"TARGET", "for example"}},
	{name: "the-log-of-a-run-that-there-is-not", line: "logs voice-1a2b3c4d -n wrong", want: []string{"voice-1a2b3c4d", "fathom runs"}},
	{name: "delete-of-what-is-not-there", line: "delete endpoint nobody -n wrong", want: []string{"endpoint nobody", "fathom status"}},
	{name: "open-of-a-page-elsewhere", line: "open https://example.com", want: []string{"/ui/"}},
}

// asking are mistakes with data and models that are there.
var asking = []mistake{
	{name: "SQL-with-a-syntax-error", line: "sql -n wrong 'select person frm people'", want: []string{"line 1", `"people"`}},
	{name: "SQL-on-a-column-that-there-is-not", line: "sql -n wrong 'select jiter from people'", want: []string{"jiter", "jitter"}},
	{name: "SQL-on-a-table-that-there-is-not", line: "sql -n wrong 'select * from peeple'", want: []string{"peeple", "people"}},
	{name: "SQL-that-changes-something", line: "sql -n wrong 'delete from people'", want: []string{"SELECT"}},
	{name: "SQL-on-a-file", line: `sql -n wrong 'select * from "inbox/people/people.csv"'`, want: []string{"from.files"}},
	{name: "predict-of-an-endpoint-that-there-is-not", line: "predict nobody -n wrong", want: []string{"endpoint nobody", "fathom status"}},
	{name: "predict-without-quotes", line: "predict good -n wrong -d {age:", want: []string{"not JSON", `{"`}},
	{name: "predict-with-a-missing-feature", line: `predict good -n wrong -d '{"age": 44}'`, want: []string{"jitter"}},
	{name: "predict-with-a-misspelt-feature", line: `predict good -n wrong -d '{"age": 44, "jiter": 0.1}'`, want: []string{"jiter", "age, jitter"}},
	{name: "predict-with-a-text-for-a-number", line: `predict good -n wrong -d '{"age": "old", "jitter": 0.1}'`, want: []string{"age"}},
	{name: "predict-from-a-file-that-is-not-there", line: "predict good -n wrong -d @request.json", want: []string{"request.json"}},
	{name: "promote-without-the-right", given: "Ada is a viewer.", line: "promote good -n wrong", as: "viewer", want: []string{"ada", "models/promotion", "fathom login"}},
	{name: "apply-without-the-right", given: "Ada is a viewer.", line: "apply -f base", as: "viewer", want: []string{"ada", "fathom login"}},
	{name: "who-knew-a-subject-without-the-right", given: "The owner is no steward.", line: "subject p-1a2b3c4d -n wrong", want: []string{"datasets/identified", "steward"}},
	{name: "promote-when-nothing-waits", line: "promote good -n wrong", want: []string{"good", "approval"}},
	{name: "rollback-when-there-is-no-version-before", line: "rollback good -n wrong", want: []string{"good"}},
	{name: "promote-of-a-version-that-there-is-not", line: "promote good -n wrong --version 9", want: []string{"good", "9"}},
	{name: "why-of-what-has-no-version", line: "why model unknown-target -n wrong", want: []string{"unknown-target"}},
	{name: "diff-of-a-single-version", line: "diff people -n wrong", want: []string{"people", "needs two"}},
	{name: "replay-of-an-endpoint", line: "replay endpoint good -n wrong", want: []string{"datasets and models"}},
}
