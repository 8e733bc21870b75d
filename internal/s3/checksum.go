// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3api/utils"
	"github.com/versity/versitygw/s3err"

	"fathom.dev/fathom/internal/fault"
)

// algorithms are S3's checksums, as its messages call them.
var algorithms = []string{"CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128"}

const usualAlgorithm = "CRC64NVME" // S3's choice when the client has none

// checksum is one that S3's protocol knows. The zero value is none.
type checksum struct {
	Algorithm string `json:"algorithm,omitempty"`
	Type      string `json:"type,omitempty"`  // FULL_OBJECT or COMPOSITE
	Value     string `json:"value,omitempty"` // base64; of a composite one with "-" and the number of parts
}

// given reads the checksum that a message has in one of its fields ChecksumCRC32, ChecksumSHA256 …, if any.
func given(message any) checksum {
	fields := reflect.Indirect(reflect.ValueOf(message))
	for _, a := range algorithms {
		if f := fields.FieldByName("Checksum" + a); f.IsValid() && !f.IsNil() {
			return checksum{Algorithm: a, Value: f.Elem().String()}
		}
	}
	return checksum{}
}

// countGiven counts them.
func countGiven(message any) (n int) {
	fields := reflect.Indirect(reflect.ValueOf(message))
	for _, a := range algorithms {
		if f := fields.FieldByName("Checksum" + a); f.IsValid() && !f.IsNil() {
			n++
		}
	}
	return n
}

// tell writes the checksum into the fields of an answer. What the answer has no field for is left out.
func (c checksum) tell(answer any) {
	if c.Value == "" {
		return
	}
	fields := reflect.ValueOf(answer).Elem()
	if f := fields.FieldByName("Checksum" + c.Algorithm); f.IsValid() {
		f.Set(reflect.ValueOf(&c.Value))
	}
	kind := types.ChecksumType(c.Type)
	switch f := fields.FieldByName("ChecksumType"); {
	case !f.IsValid() || kind == "":
	case f.Kind() == reflect.Pointer:
		f.Set(reflect.ValueOf(&kind))
	default:
		f.Set(reflect.ValueOf(kind))
	}
}

func (c checksum) kind() utils.HashType { return utils.HashType(strings.ToLower(c.Algorithm)) }

// body is what a client sends, with its checksum: computed while it is read, and compared with the one that the client
// said before. One that comes after the body was compared by the reader that takes the chunks apart.
type body struct {
	io.Reader
	trailer middlewares.ChecksumReader
	hash    *utils.HashReader
	said    checksum
}

// summed reads a body. The checksum is what the message said, else of the algorithm that is asked for.
func summed(r io.Reader, message any, algorithm string) (*body, error) {
	b := &body{Reader: r}
	if t, ok := r.(middlewares.ChecksumReader); ok && t.Algorithm() != "" {
		b.trailer = t
		b.said.Algorithm = strings.ToUpper(t.Algorithm())
		return b, nil
	}
	if b.said = given(message); b.said.Algorithm == "" {
		b.said.Algorithm = algorithm
	}
	if b.said.Algorithm == "" {
		b.said.Algorithm = usualAlgorithm
	}
	var err error
	if b.hash, err = utils.NewHashReader(r, b.said.Value, b.said.kind()); err != nil {
		return nil, fault.Wrap(fault.Invalid, "checksum", err)
	}
	b.Reader = b.hash
	return b, nil
}

// sum is the checksum of what was read, once all was.
func (b *body) sum() checksum {
	c := checksum{Algorithm: b.said.Algorithm, Type: string(types.ChecksumTypeFullObject)}
	if b.trailer != nil {
		c.Value = b.trailer.Checksum()
	} else {
		c.Value = b.hash.Sum()
	}
	return c
}

// badDigest says that what the client claimed of the whole is not so.
func badDigest(algorithm string) error {
	return s3err.GetChecksumBadDigestErr(types.ChecksumAlgorithm(algorithm))
}

// composite is the checksum of the parts' checksums.
func composite(algorithm string, parts []part) (checksum, error) {
	all, err := utils.NewCompositeChecksumReader(checksum{Algorithm: algorithm}.kind())
	if err != nil {
		return checksum{}, fault.Wrap(fault.Invalid, "checksum", err)
	}
	for _, p := range parts {
		if err := all.Process(p.sum.Value); err != nil {
			return checksum{}, fault.Wrap(fault.Corrupt, "checksum", err)
		}
	}
	return checksum{algorithm, string(types.ChecksumTypeComposite), fmt.Sprintf("%s-%d", all.Sum(), len(parts))}, nil
}
