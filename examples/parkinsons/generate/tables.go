// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// writeVoice writes one CSV file for each site: several visits of each patient, with names and birth dates as hospitals
// send them.
func writeVoice(dir string, batch int, members []patient, rng *rand.Rand) error {
	tables := map[string]*bytes.Buffer{}
	writers := map[string]*csv.Writer{}
	for _, site := range sites {
		tables[site] = &bytes.Buffer{}
		writers[site] = csv.NewWriter(tables[site])
		header := []string{"patient_id", "name", "birth_date", "sex", "age", "site", "visit", "visit_date",
			"jitter", "shimmer", "hnr", "rpde", "dfa", "ppe", "status"}
		if err := writers[site].Write(header); err != nil {
			return err
		}
	}
	for _, p := range members {
		person := rng.NormFloat64() // a voice is the same voice at every visit
		for visit := 1; visit <= visits; visit++ {
			day := time.Date(2025, 9, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 3*visit, rng.IntN(25))
			noise := func(scale float64) float64 { return scale * (0.7*person + 0.7*rng.NormFloat64()) }
			record := []string{p.ID, p.Name, p.BirthDate, p.Sex, strconv.Itoa(p.Age), p.Site, strconv.Itoa(visit), day.Format(time.DateOnly),
				decimal(clamp(0.0055+0.0035*p.Severity+noise(0.0022), 0.001, 0.05), 5),
				decimal(clamp(0.028+0.014*p.Severity+noise(0.009), 0.005, 0.2), 4),
				decimal(clamp(23.5-4.0*p.Severity+noise(3.0), 5, 35), 2),
				decimal(clamp(0.46+0.09*p.Severity+noise(0.07), 0.2, 0.8), 4),
				decimal(clamp(0.70+0.04*p.Severity+noise(0.045), 0.5, 0.9), 4),
				decimal(clamp(0.16+0.09*p.Severity+noise(0.06), 0.02, 0.6), 4),
				strconv.Itoa(p.Status),
			}
			if err := writers[p.Site].Write(record); err != nil {
				return err
			}
		}
	}
	for _, site := range sites {
		writers[site].Flush()
		if err := write(filepath.Join(dir, fmt.Sprintf("%s-%d.csv", site, batch)), tables[site].Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func decimal(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

// writeConsents writes FHIR R4 Consent resources, one a line. A withdrawn consent is a permit followed by a refusal.
func writeConsents(dir string, batch int, members []patient) error {
	var out bytes.Buffer
	add := func(p patient, n int, status, kind, day, end string) error {
		b, err := json.Marshal(consent(p, n, status, kind, day, end))
		if err != nil {
			return err
		}
		out.Write(append(b, '\n'))
		return nil
	}
	for _, p := range members {
		var err error
		switch p.Consent {
		case "permit":
			err = add(p, 1, "active", "permit", "2025-08-01", "2055-08-01")
		case "deny":
			err = add(p, 1, "active", "deny", "2025-08-01", "2055-08-01")
		case "expired":
			err = add(p, 1, "active", "permit", "2019-08-01", "2024-07-31")
		case "withdrawn":
			if err = add(p, 1, "active", "permit", "2025-08-01", "2055-08-01"); err == nil {
				err = add(p, 2, "inactive", "permit", "2026-02-15", "2055-08-01")
			}
		}
		if err != nil {
			return err
		}
	}
	return write(filepath.Join(dir, fmt.Sprintf("consents-%d.ndjson", batch)), out.Bytes())
}

type object = map[string]any

func consent(p patient, n int, status, kind, day, end string) object {
	code := func(system, code string) object {
		return object{"coding": []object{{"system": system, "code": code}}}
	}
	return object{
		"resourceType": "Consent", "id": fmt.Sprintf("consent-%s-%d", p.ID, n), "status": status,
		"scope":    code("http://terminology.hl7.org/CodeSystem/consentscope", "research"),
		"category": []object{code("http://loinc.org", "57016-8")},
		"patient":  object{"reference": "Patient/" + p.ID},
		"dateTime": day + "T09:00:00Z",
		"provision": object{
			"type":   kind,
			"period": object{"start": day, "end": end},
			"purpose": []object{{
				"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH", "display": "healthcare research",
			}},
		},
	}
}

// writeLogs writes what the recording devices said, one line an event.
func writeLogs(dir string, batch int, members []patient, rng *rand.Rand) error {
	var out bytes.Buffer
	clock := time.Date(2025, 12, 1, 8, 0, 0, 0, time.UTC).AddDate(0, 6*(batch-1), 0)
	for _, p := range members {
		for visit := 1; visit <= visits; visit++ {
			clock = clock.Add(time.Duration(7+rng.IntN(40)) * time.Minute)
			device := fmt.Sprintf("VR-%02d", 1+rng.IntN(4))
			fmt.Fprintf(&out, "%s %s INFO recording subject=%s visit=%d seconds=%.1f noise_db=%.1f\n",
				clock.Format(time.RFC3339), device, p.ID, visit, 4+3*rng.Float64(), 28+12*rng.Float64())
			if rng.IntN(9) == 0 {
				fmt.Fprintf(&out, "%s %s WARN battery low\n", clock.Add(time.Minute).Format(time.RFC3339), device)
			}
		}
	}
	return write(filepath.Join(dir, fmt.Sprintf("devices-%d.log", batch)), out.Bytes())
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}
