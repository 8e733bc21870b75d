// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"fathom.dev/fathom/internal/privacy"
)

// scan makes a small NM image with a full patient header.
func scan(t *testing.T, patient, name string, instance int, more ...*dicom.Element) string {
	t.Helper()
	pixels := make([]byte, 2*4*4)
	for i := range 16 {
		binary.LittleEndian.PutUint16(pixels[2*i:], uint16(i*instance))
	}
	uid := fmt.Sprintf("1.2.826.0.1.%x.%d", []byte(patient)[len(patient)-1], instance)
	elements := []*dicom.Element{
		elem(t, tag.MediaStorageSOPClassUID, []string{"1.2.840.10008.5.1.4.1.1.20"}), elem(t, tag.MediaStorageSOPInstanceUID, []string{uid}),
		elem(t, tag.TransferSyntaxUID, []string{"1.2.840.10008.1.2.1"}),
		elem(t, tag.SOPClassUID, []string{"1.2.840.10008.5.1.4.1.1.20"}), elem(t, tag.SOPInstanceUID, []string{uid}),
		elem(t, tag.StudyDate, []string{"20240131"}), elem(t, tag.StudyTime, []string{"101112"}), elem(t, tag.AccessionNumber, []string{"ACC-77123"}),
		elem(t, tag.Modality, []string{"NM"}), elem(t, tag.Manufacturer, []string{"Acme"}), elem(t, tag.InstitutionName, []string{"Hospital Hausen"}),
		elem(t, tag.ReferringPhysicianName, []string{"Doctor^Dora"}), elem(t, tag.PatientName, []string{name}), elem(t, tag.PatientID, []string{patient}),
		elem(t, tag.PatientBirthDate, []string{"19500203"}), elem(t, tag.PatientSex, []string{"F"}),
		elem(t, tag.StudyInstanceUID, []string{"1.2.826.0.1.9"}), elem(t, tag.SeriesInstanceUID, []string{"1.2.826.0.1.9.1"}),
		elem(t, tag.InstanceNumber, []string{fmt.Sprint(instance)}), elem(t, tag.SamplesPerPixel, []int{1}), elem(t, tag.PhotometricInterpretation, []string{"MONOCHROME2"}),
		elem(t, tag.Rows, []int{4}), elem(t, tag.Columns, []int{4}), elem(t, tag.PixelSpacing, []string{"2.5", "2.5"}),
		elem(t, tag.BitsAllocated, []int{16}), elem(t, tag.BitsStored, []int{16}), elem(t, tag.HighBit, []int{15}), elem(t, tag.PixelRepresentation, []int{0}),
	}
	elements = append(elements, more...)
	elements = append(elements, elem(t, tag.PixelData, dicom.PixelDataInfo{IntentionallyUnprocessed: true, UnprocessedValueData: pixels}))
	var out bytes.Buffer
	if err := dicom.Write(&out, dicom.Dataset{Elements: elements}, dicom.SkipVRVerification()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func elem(t *testing.T, tg tag.Tag, value any) *dicom.Element {
	t.Helper()
	e, err := dicom.NewElement(tg, value)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func scanParams(b *bench, files map[string]string) privacy.IngestParams {
	return privacy.IngestParams{Workspace: "neurology", Dataset: "scans", Format: "dicom", Files: b.sources(files),
		Privacy: &privacy.Policy{Subject: "PatientID", Consent: &privacy.ConsentRule{Dataset: "consents", Purpose: "research"},
			Deidentify: &privacy.Deidentified{Profile: "basic", Options: []string{"retain-longitudinal-modified"}}}}
}

func TestIngestDICOM(t *testing.T) {
	b := newBench(t)
	stageConsents(t, b, studyConsents)
	executable := "MZ" + scan(t, "PAT-0001", "Alpha^Anna", 2)[2:]
	p := scanParams(b, map[string]string{
		"scans/Alpha_Anna/1.dcm": scan(t, "PAT-0001", "Alpha^Anna", 1), "scans/Alpha_Anna/2.dcm": executable,
		"scans/Alpha_Anna/copy.dcm": scan(t, "PAT-0001", "Alpha^Anna", 1),
		"scans/Beta/1.dcm":          scan(t, "PAT-0002", "Beta^Bert", 1),
		"scans/none.dcm":            scan(t, " ", "Nobody", 1),
		"scans/burned.dcm":          scan(t, "PAT-0005", "Epsilon^Emil", 1, elem(t, tag.BurnedInAnnotation, []string{"YES"})),
		"scans/ok.dcm":              scan(t, "PAT-0005", "Epsilon^Emil", 2, elem(t, tag.BurnedInAnnotation, []string{"NO"})),
	})
	report := b.ingest(p)
	if report.RowsIn != 7 || report.RowsOut != 3 || report.Objects != 3 || len(report.Subjects) != 2 || report.Identified {
		t.Errorf("report %+v", report)
	}
	key, _ := privacy.NewKey([]byte(strings.Repeat("k", 32)))
	if report.Subjects[0] != key.Pseudonym("PAT-0001") && report.Subjects[1] != key.Pseudonym("PAT-0001") {
		t.Errorf("subjects %v: scans cannot be joined with tables", report.Subjects)
	}
	for _, planted := range []string{"PAT-000", "Alpha", "Anna", "Epsilon", "Doctor", "Hausen", "19500203", "20240131", "2024-01-31", "ACC-77123", "1.2.826", "MZ"} {
		if b.holds(planted) {
			t.Errorf("%q is in the output", planted)
		}
	}
	rows := strings.Split(strings.TrimSpace(b.ask("select _object, Rows, PixelSpacing[1], year(StudyDate) > 2000 and StudyDate < '2024-01-31', Modality from t")), "\n")
	if len(rows) != 4 {
		t.Fatalf("rows %q", rows)
	}
	for _, r := range rows[1:] {
		f := strings.Split(r, ",")
		if f[1] != "4" || f[2] != "2.5" || f[3] != "true" || f[4] != "NM" {
			t.Errorf("row %s", r)
		}
		if _, err := os.Stat(filepath.Join(b.output, "objects", f[0])); err != nil {
			t.Errorf("object %s: %v", f[0], err)
		}
	}
	again := newBench(t)
	stageConsents(t, again, studyConsents)
	p.Files = again.sources(map[string]string{"scans/x.dcm": scan(t, "PAT-0005", "Epsilon^Emil", 2)})
	again.ingest(p)
	if one := again.ask("select StudyInstanceUID, StudyDate from t"); !strings.Contains(b.ask("select StudyInstanceUID, StudyDate from t"), strings.Split(one, "\n")[1]) {
		t.Error("the same object became another one")
	}
}

func TestIngestDICOMStops(t *testing.T) {
	unknown := &dicom.Element{Tag: tag.Tag{Group: 0x0008, Element: 0xfff0}, RawValueRepresentation: "LO"}
	unknown.Value, _ = dicom.NewValue([]string{"Anna"})
	for _, c := range []struct {
		name, content, reason, want string
	}{
		{"uncovered attribute", scan(t, "PAT-0001", "A", 1, unknown), "ObjectsRefused", "(0008,FFF0)"},
		{"text in a number", scan(t, "PAT-0001", "A", 1, elem(t, tag.SliceThickness, []string{"Anna"})), "ObjectsRefused", "SliceThickness (0018,0050)"},
		{"cut short", scan(t, "PAT-0001", "A", 1)[:600], "UnreadableFile", "scans/x.dcm: the DICOM file is malformed: it ends too early"},
		{"no DICOM", strings.Repeat("hello ", 100), "UnreadableFile", "scans/x.dcm: this is not a DICOM file"},
		{"empty", "", "UnreadableFile", "scans/x.dcm: this is not a DICOM file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			stageConsents(t, b, studyConsents)
			p := scanParams(b, map[string]string{"scans/x.dcm": c.content})
			p.KeyFile, p.AsOf = filepath.Join(b.root, "key"), asOf
			code, end := b.run("ingest", p)
			if code != 2 || end.Reason != c.reason || !strings.Contains(end.Message, c.want) || strings.Contains(end.Message, "Anna") {
				t.Errorf("exit %d %+v, want %s with %q", code, end, c.reason, c.want)
			}
			if entries, _ := os.ReadDir(filepath.Join(b.output, "objects")); len(entries) > 0 {
				t.Error("an object was written")
			}
		})
	}
}

func TestIngestText(t *testing.T) {
	b := newBench(t)
	stageConsents(t, b, studyConsents)
	p := privacy.IngestParams{Workspace: "neurology", Dataset: "logs", Format: "text",
		Files:       b.sources(map[string]string{"logs/PAT-0001.log": "2024-01-02T03:04:05Z tremor=0.5 id=PAT-0001\r\n\n# comment\n2024-01-03T03:04:05Z tremor=1 id=PAT-0002\n2024-01-04T03:04:05Z tremor=2 id=PAT-0001"}),
		Pattern:     `^(?P<at>\S+) tremor=(?P<tremor>\S+) id=(?P<patient_id>\S+)$`,
		PathPattern: `(?P<device>[A-Z]+)-`,
		Privacy: &privacy.Policy{Subject: "patient_id", Consent: &privacy.ConsentRule{Dataset: "consents", Purpose: "research"},
			Pseudonymise: []string{"patient_id"}}}
	report := b.ingest(p)
	if report.RowsIn != 4 || report.RowsOut != 2 || len(report.Excluded) != 2 {
		t.Errorf("report %+v", report)
	}
	if rows := b.ask("select \"at\", tremor, device, _line from t"); rows != "at,tremor,device,_line\n2024-01-02T03:04:05Z,0.5,PAT,1\n2024-01-04T03:04:05Z,2,PAT,5\n" {
		t.Errorf("rows %q", rows)
	}
	if b.holds("PAT-0001") {
		t.Error("the identifier is in the output")
	}
	for pattern, want := range map[string]string{"(": "the pattern is wrong", "abc": "no named group", "^never(?P<x>.)": "none of 4 lines matches", "(?P<x>.)(?P<x>.)": "occurs twice"} {
		p.Pattern, p.Privacy, p.PathPattern = pattern, nil, ""
		if code, end := b.run("ingest", p); code != 2 || !strings.Contains(end.Message, want) || end.Field != "spec.from.files.pattern" {
			t.Errorf("pattern %s: %d %+v, want %q", pattern, code, end, want)
		}
	}
}

func TestIngestNDJSONAndParquet(t *testing.T) {
	b := newBench(t)
	report := b.ingest(privacy.IngestParams{Format: "ndjson",
		Files:   b.sources(map[string]string{"a.ndjson": `{"patient_id":"007","x":1}` + "\n" + `{"patient_id":"008","x":2.5,"y":{"z":[1]}}` + "\n", "b.ndjson": `{"patient_id":"009"}`}),
		Privacy: &privacy.Policy{Subject: "patient_id", Pseudonymise: []string{"patient_id"}}})
	if report.RowsOut != 3 || len(report.Subjects) != 3 || report.Files[0].Rows != 2 {
		t.Errorf("report %+v", report)
	}
	key, _ := privacy.NewKey([]byte(strings.Repeat("k", 32)))
	if rows := b.ask("select patient_id, x from t"); rows != fmt.Sprintf("patient_id,x\n%s,1\n%s,2.5\n%s,\n", key.Pseudonym("007"), key.Pseudonym("008"), key.Pseudonym("009")) {
		t.Errorf("rows %s", rows)
	}
	table, err := os.ReadFile(filepath.Join(b.output, "data.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	next := newBench(t)
	if r := next.ingest(privacy.IngestParams{Format: "parquet", Files: next.sources(map[string]string{"a.parquet": string(table), "b.parquet": string(table)})}); r.RowsOut != 6 {
		t.Errorf("report %+v", r)
	}
	for format, c := range map[string]struct{ file, text, want string }{
		"ndjson":  {"x.ndjson", `{"a":1}` + "\n" + `{"a":`, "x.ndjson: line 2: this is not a JSON object"},
		"parquet": {"x.parquet", "PAR1 nothing", "x.parquet: this is not a readable Parquet file"},
		"fhir":    {"x.json", `{"resourceType":"Patient"}` + "\n{\"a\":1}", "x.json: line 2: this JSON has no resourceType"},
	} {
		bad := newBench(t)
		code, end := bad.run("ingest", privacy.IngestParams{Format: format, Files: bad.sources(map[string]string{c.file: c.text})})
		if code != 2 || !strings.Contains(end.Message, c.want) {
			t.Errorf("%s: %d %+v, want %q", format, code, end, c.want)
		}
	}
}

// sample reads a public test file, or skips.
func sample(t *testing.T, path string) string {
	t.Helper()
	root := os.Getenv("FATHOM_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Skipf("no test file %s: set FATHOM_TESTDATA to the folder of test data", path)
	}
	return string(b)
}

func TestIngestFHIRResources(t *testing.T) {
	b := newBench(t)
	conditions := sample(t, "fhir/synthea_10patients/Condition.000.ndjson")
	p := privacy.IngestParams{Format: "fhir", Files: b.sources(map[string]string{"c.ndjson": conditions})}
	if r := b.ingest(p); r.RowsOut != 555 || !r.Identified {
		t.Errorf("report %+v", r)
	}
	if rows := b.ask("select count(distinct subject) n, count(distinct resourceType) k from t"); !strings.Contains(rows, ",1") {
		t.Errorf("rows %s", rows)
	}
	p.Privacy = &privacy.Policy{Subject: "subject", Pseudonymise: []string{"subject"}}
	p.KeyFile = filepath.Join(b.root, "key")
	if code, end := b.run("ingest", p); code != 2 || end.Reason != "IdentifierRemains" || !strings.Contains(end.Message, "column resource") {
		t.Errorf("%d %+v", code, end)
	}
}

// TestConsentsOfTheMedicalInformaticsInitiative judges real-world broad consents: base deny, nested permits by code.
func TestConsentsOfTheMedicalInformaticsInitiative(t *testing.T) {
	b := newBench(t)
	files := map[string]string{}
	for i := 1; i <= 10; i++ {
		name := fmt.Sprintf("Consent-mii-exa-test-data-patient-%d-consent-1.json", i)
		files[name] = sample(t, "fhir/mii/"+name)
	}
	report := b.ingest(privacy.IngestParams{Format: "fhir", Files: b.sources(files)})
	if report.RowsOut < 40 {
		t.Errorf("report %+v", report)
	}
	table, err := os.ReadFile(filepath.Join(b.output, "data.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	lines.WriteString("pid,x\n")
	for i := 1; i <= 11; i++ {
		fmt.Fprintf(&lines, "mii-exa-test-data-patient-%d,%d\n", i, i)
	}
	for purpose, want := range map[string]int64{
		"research":                              9, // patient 8's period is over, patient 11 was never asked
		"2.16.840.1.113883.3.1937.777.24.5.3.8": 9, "marketing": 0,
	} {
		next := newBench(t)
		next.file("inputs/consents/data.parquet", string(table))
		report := next.ingest(privacy.IngestParams{Format: "csv", Files: next.sources(map[string]string{"x.csv": lines.String()}),
			Privacy: &privacy.Policy{Subject: "pid", Pseudonymise: []string{"pid"}, Consent: &privacy.ConsentRule{Dataset: "consents", Purpose: purpose}}})
		if report.RowsOut != want {
			t.Errorf("%s: %d of 11 are in (%+v), want %d", purpose, report.RowsOut, report.Excluded, want)
		}
	}
}
