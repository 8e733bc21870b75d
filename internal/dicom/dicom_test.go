// SPDX-License-Identifier: Apache-2.0

package dicom

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"

	"fathom.dev/fathom/internal/fault"
)

// testdata is the folder of public test files.
func testdata(t testing.TB) string {
	t.Helper()
	root := os.Getenv("FATHOM_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(root, "dicom")); err != nil {
		t.Skip("no DICOM test files: set FATHOM_TESTDATA to the folder of test data")
	}
	return root
}

// reference reads the table of decoded pixels: one map by column name for each file.
func reference(t *testing.T, root string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "dicom", "reference_pixels.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]string
	for _, r := range rows[1:] {
		m := map[string]string{}
		for i, name := range rows[0] {
			m[name] = r[i]
		}
		list = append(list, m)
	}
	return list
}

func load(t testing.TB, path string) (*Object, error) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Parse(filepath.Base(path), b)
}

func TestStoredValuesMatchReference(t *testing.T) {
	root := testdata(t)
	var decoded, compressed int
	for _, r := range reference(t, root) {
		if r["status"] != "" {
			continue
		}
		o, err := load(t, filepath.Join(root, r["file"]))
		if err != nil {
			t.Errorf("%s: %v", r["file"], err)
			continue
		}
		if px, _ := o.pixels(); px.IsEncapsulated {
			compressed++
			continue
		}
		values, err := o.Stored()
		if err != nil {
			if o.Text(tag.PhotometricInterpretation) != "YBR_FULL_422" {
				t.Errorf("%s: %v", r["file"], err)
			}
			continue
		}
		if o.Text(tag.PlanarConfiguration) == "1" {
			values = interleave(t, o, values)
		}
		decoded++
		if sum := digest(t, values, r["dtype"]); sum != r["sha256_stored_values_little_endian"] {
			t.Errorf("%s (%s, %s): stored values differ", r["file"], r["transfer_syntax"], r["shape"])
		}
	}
	t.Logf("%d files decoded as the reference, %d compressed ones carried as they are", decoded, compressed)
	if decoded < 250 {
		t.Errorf("only %d files were compared", decoded)
	}
}

// interleave turns planes of samples into samples of pixels, as the reference has them.
func interleave(t *testing.T, o *Object, planes []int32) []int32 {
	t.Helper()
	g, err := o.geometry()
	if err != nil {
		t.Fatal(err)
	}
	size := g.rows * g.columns
	out := make([]int32, len(planes))
	for i := range planes {
		frame, rest := i/(size*g.samples), i%(size*g.samples)
		out[frame*size*g.samples+rest%size*g.samples+rest/size] = planes[i]
	}
	return out
}

func digest(t *testing.T, values []int32, dtype string) string {
	t.Helper()
	var b []byte
	for _, v := range values {
		switch strings.Trim(dtype, "<>") {
		case "uint8", "int8":
			b = append(b, byte(v))
		case "uint16", "int16", "i2", "u2":
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case "uint32", "int32", "i4", "u4":
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		default:
			t.Fatalf("unknown type %s", dtype)
		}
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// profile is keyed by nothing: good enough to tell replaced from kept.
func profile(shift bool) Profile {
	number := func(s string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(s))
		return h.Sum64()
	}
	p := Profile{
		Pseudonym: func(id string) string { return fmt.Sprintf("p-%x", number(id)) },
		UID:       func(uid string) string { return fmt.Sprintf("2.25.%d", number(uid)) },
	}
	if shift {
		p.Days = func(id string) int { return -100 }
	}
	return p
}

// identity collects every value of an object that could identify: all text that is long enough to be told from chance,
// of attributes that the profile does not keep, and of private ones.
func identity(list []*dicom.Element, into map[string]bool) {
	for _, e := range list {
		if e.Value == nil || e.Tag.Group == tag.MetadataGroup {
			continue
		}
		if items, ok := e.Value.GetValue().([]*dicom.SequenceItemValue); ok {
			for _, item := range items {
				identity(item.GetValue().([]*dicom.Element), into)
			}
			continue
		}
		a, known := attributes()[e.Tag]
		if known && (a.action == keep || a.action == classUID) {
			continue
		}
		texts, _ := e.Value.GetValue().([]string)
		if b, ok := e.Value.GetValue().([]byte); ok && len(b) < 1000 {
			texts = []string{string(b)}
		}
		for _, s := range texts {
			s = strings.Trim(s, " \x00")
			if len(s) >= 6 && strings.Trim(s, "0.,") != "" && !isStandardUID(s) {
				into[s] = true
			}
		}
	}
}

// keptTexts are values that stay for another reason, such as a term that also stands in a removed attribute.
func keptTexts(list []*dicom.Element, into map[string]bool) {
	for _, e := range list {
		if e.Value == nil {
			continue
		}
		if items, ok := e.Value.GetValue().([]*dicom.SequenceItemValue); ok {
			for _, item := range items {
				keptTexts(item.GetValue().([]*dicom.Element), into)
			}
			continue
		}
		if a, known := attributes()[e.Tag]; known && a.action == keep {
			texts, _ := e.Value.GetValue().([]string)
			for _, s := range texts {
				into[strings.Trim(s, " \x00")] = true
			}
		}
	}
}

func TestDeidentifyAllTestFiles(t *testing.T) {
	root := testdata(t)
	reasons := map[string]int{}
	var done, planted int
	walk(t, filepath.Join(root, "dicom"), func(path string) {
		o, err := load(t, path)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), filepath.Base(path)) {
				t.Errorf("%s: %v does not name the file", path, err)
			}
			reasons["malformed: "+err.Error()]++
			return
		}
		clean, err := profile(false).Apply(o)
		var refused *Refusal
		if errors.As(err, &refused) {
			reasons[refused.Error()]++
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := clean.Bytes()
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		secrets, open := map[string]bool{}, map[string]bool{}
		identity(o.set.Elements, secrets)
		keptTexts(o.set.Elements, open)
		header := withoutPixels(b, o)
		for s := range secrets {
			planted++
			if !within(open, s) && bytes.Contains(header, []byte(s)) {
				t.Errorf("%s: %q is still in it", path, s)
			}
		}
		same(t, path, o, b)
		done++
	})
	t.Logf("%d objects de-identified, %d identifying values gone", done, planted)
	for _, r := range slices.Sorted(keys(reasons)) {
		t.Logf("%4d %s", reasons[r], r)
	}
	if done < 300 {
		t.Errorf("only %d objects", done)
	}
}

func within(texts map[string]bool, s string) bool {
	for text := range texts {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

func keys(m map[string]int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func walk(t *testing.T, root string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(path, ".csv") && !strings.HasSuffix(path, ".txt") &&
			!strings.HasSuffix(path, ".gz") && !strings.HasSuffix(path, ".json") && !strings.HasSuffix(path, "bval") && !strings.HasSuffix(path, "bvec") {
			visit(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// withoutPixels cuts the pixel data, where anything may occur by chance.
func withoutPixels(b []byte, o *Object) []byte {
	px, ok := o.pixels()
	if !ok {
		return b
	}
	if px.IsEncapsulated {
		for _, f := range px.Frames {
			b = bytes.ReplaceAll(b, f.EncapsulatedData.Data, nil)
		}
		return b
	}
	return bytes.ReplaceAll(b, px.UnprocessedValueData, nil)
}

// same checks that the written file reads back with the same pixels and offset table.
func same(t *testing.T, path string, before *Object, written []byte) {
	t.Helper()
	after, err := Parse("written", written)
	if err != nil {
		t.Errorf("%s: written, it does not read: %v", path, err)
		return
	}
	a, had := before.pixels()
	b, has := after.pixels()
	if had != has || len(a.Frames) != len(b.Frames) || !slices.Equal(a.Offsets, b.Offsets) || !bytes.Equal(a.UnprocessedValueData, b.UnprocessedValueData) {
		t.Errorf("%s: the pixel data changed", path)
		return
	}
	for i := range a.Frames {
		if !bytes.Equal(a.Frames[i].EncapsulatedData.Data, b.Frames[i].EncapsulatedData.Data) {
			t.Errorf("%s: fragment %d changed", path, i)
		}
	}
	if !bytes.Equal(written[:128], make([]byte, 128)) {
		t.Errorf("%s: the preamble is not empty", path)
	}
	if after.Text(tag.PatientIdentityRemoved) != "YES" || after.Text(tag.DeidentificationMethod) == "" {
		t.Errorf("%s: not marked", path)
	}
}
