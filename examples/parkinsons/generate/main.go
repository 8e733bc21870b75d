// SPDX-License-Identifier: Apache-2.0

// Command generate makes the input of the Parkinson's example study: voice measurements, DaT-SPECT-like images, device
// logs and consents of invented patients, from a seed. What is true about each patient is written to truth.json, outside
// the inbox, so that the study's result can be judged.
//
//	go run ./examples/parkinsons/generate -out DIR             the first 72 patients, in DIR/batch-1
//	                                                           and 24 more who come later, in DIR/batch-2
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// patient is what is true about an invented person.
type patient struct {
	ID        string  `json:"id"`
	Name      string  `json:"name"`
	BirthDate string  `json:"birthDate"` // YYYYMMDD
	Sex       string  `json:"sex"`
	Age       int     `json:"age"`
	Site      string  `json:"site"`
	Consent   string  `json:"consent"` // permit, deny, expired, withdrawn or none
	Status    int     `json:"status"`  // 1 has the disease
	Severity  float64 `json:"severity"`
	// PutamenRatio and Asymmetry are planted in the images.
	PutamenRatio float64 `json:"putamenRatio"`
	Asymmetry    float64 `json:"asymmetry"`
}

const (
	firstBatch  = 72
	secondBatch = 24
	visits      = 3
	slices      = 3
)

func main() {
	out := flag.String("out", "", "folder to write to")
	seed := flag.Uint64("seed", 20, "seed of everything random")
	flag.Parse()
	if *out == "" {
		fmt.Fprintln(os.Stderr, "usage: generate -out DIR [-seed N]")
		os.Exit(2)
	}
	if err := run(*out, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(out string, seed uint64) error {
	rng := rand.New(rand.NewPCG(seed, 1817)) // 1817: Parkinson's essay on the shaking palsy
	patients := make([]patient, firstBatch+secondBatch)
	for i := range patients {
		patients[i] = invent(rng, i)
	}
	for b, members := range [][]patient{patients[:firstBatch], patients[firstBatch:]} {
		inbox := filepath.Join(out, fmt.Sprintf("batch-%d", b+1), "inbox")
		if err := writeBatch(inbox, b+1, members, rng); err != nil {
			return err
		}
		fmt.Printf("batch %d: %d patients in %s\n", b+1, len(members), inbox)
	}
	truth, err := json.MarshalIndent(patients, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "truth.json"), append(truth, '\n'), 0o644)
}

func writeBatch(inbox string, batch int, members []patient, rng *rand.Rand) error {
	if err := writeVoice(filepath.Join(inbox, "voice"), batch, members, rng); err != nil {
		return err
	}
	if err := writeConsents(filepath.Join(inbox, "consents"), batch, members); err != nil {
		return err
	}
	if err := writeLogs(filepath.Join(inbox, "logs"), batch, members, rng); err != nil {
		return err
	}
	for _, p := range members {
		if err := writeScans(filepath.Join(inbox, "scans", p.ID), p, rng); err != nil {
			return err
		}
	}
	return nil
}

var (
	givenNames = []string{"Alma", "Bruno", "Clara", "David", "Elif", "Felix", "Greta", "Hugo", "Irma", "Jonas", "Karla", "Leon",
		"Marta", "Nils", "Olga", "Paul", "Quirin", "Rosa", "Sven", "Thea", "Ugo", "Vera", "Wanda", "Xaver"}
	familyNames = []string{"Abel", "Brandt", "Conrad", "Dorn", "Eberle", "Fuchs", "Graf", "Hahn", "Ilgen", "Jung", "Keller",
		"Lang", "Moser", "Noll", "Otten", "Pohl", "Quandt", "Roth", "Sauer", "Thiel", "Unger", "Vogt", "Wolf", "Zorn"}
	sites = []string{"north", "south", "west"}
)

// invent makes one patient. The disease lowers the tracer's binding in the putamen, on one side more than on the other.
func invent(rng *rand.Rand, i int) patient {
	p := patient{
		ID:   fmt.Sprintf("PD-%04d", 1000+i*7+rng.IntN(7)),
		Name: givenNames[rng.IntN(len(givenNames))] + " " + familyNames[rng.IntN(len(familyNames))] + fmt.Sprint(i),
		Sex:  []string{"F", "M"}[rng.IntN(2)], Site: sites[rng.IntN(len(sites))],
		Age: 48 + rng.IntN(35), Consent: consentOf(i),
	}
	p.BirthDate = fmt.Sprintf("%d%02d%02d", 2026-p.Age, 1+rng.IntN(12), 1+rng.IntN(28))
	if rng.Float64() < 0.6 {
		p.Status, p.Severity = 1, 0.25+0.75*rng.Float64()
	}
	p.PutamenRatio = clamp(2.6-1.1*p.Severity+0.35*rng.NormFloat64(), 0.6, 3.6)
	p.Asymmetry = clamp(0.06+0.16*p.Severity*rng.Float64()+0.04*math.Abs(rng.NormFloat64()), 0, 0.6)
	return p
}

// consentOf spreads the kinds of consent evenly: most permit, one in six does not.
func consentOf(i int) string {
	switch i % 18 {
	case 4:
		return "deny"
	case 9:
		return "expired"
	case 13:
		return "withdrawn"
	case 17:
		if i%36 == 17 {
			return "none"
		}
	}
	return "permit"
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }
