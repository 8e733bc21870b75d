// SPDX-License-Identifier: Apache-2.0

package s3

import (
	"cmp"
	"crypto/md5" //nolint:gosec // S3 defines the ETag of a part as its MD5
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"
	"github.com/versity/versitygw/s3api/utils"

	"fathom.dev/fathom/internal/fault"
)

// A multipart upload is a folder <uploads>/<bucket>/<id> with "upload.json" and parts called "<number>-<MD5>".

// uploadID is a UUID, as versitygw's lister wants; or what earlier versions gave.
var uploadID = regexp.MustCompile(`^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z0-9]{26})$`)

// upload is what CreateMultipartUpload was told.
type upload struct {
	ID         string     `json:"-"`
	Key        string     `json:"key"`
	Started    time.Time  `json:"started"`
	Attributes attributes `json:"attributes"`
	Checksum   checksum   `json:"checksum,omitzero"` // algorithm and type that were asked for
}

// part is one part as it lies on disk.
type part struct {
	number   int
	etag     string // MD5 in hex
	size     int64
	modified time.Time
	file     string
	sum      checksum
}

func (s *store) createUpload(bucket, key string, a attributes, sum checksum) (string, error) {
	if _, err := s.locate(bucket, key); err != nil {
		return "", err
	}
	id := uuid.NewString()
	b, err := json.Marshal(upload{Key: key, Started: s.now().UTC(), Attributes: a, Checksum: sum})
	if err != nil {
		return "", fault.Wrap(fault.Internal, "upload", err)
	}
	g, err := s.stage()
	if err != nil {
		return "", err
	}
	defer g.discard()
	if _, err := g.Write(b); err != nil {
		return "", err
	}
	if err := errors.Join(g.file.Sync(), g.file.Close()); err != nil {
		return "", storageFault(err)
	}
	dir := path.Join(uploadsDir, bucket, id)
	if err := s.mkdirs(dir); err != nil {
		return "", err
	}
	if err := s.root.Rename(g.name, path.Join(dir, "upload.json")); err != nil {
		return "", storageFault(err)
	}
	return id, s.sync(dir)
}

// findUpload returns the upload and its folder. An upload of another key is as if it were not there.
func (s *store) findUpload(bucket, key, id string) (upload, string, error) {
	missing := fault.New(fault.NotFound, "upload", "there is no upload %q of %q", id, key)
	if err := s.bucket(bucket); err != nil {
		return upload{}, "", err
	}
	if !uploadID.MatchString(id) {
		return upload{}, "", missing
	}
	dir := path.Join(uploadsDir, bucket, id)
	b, err := s.root.ReadFile(path.Join(dir, "upload.json"))
	if isMissing(err) {
		return upload{}, "", missing
	}
	if err != nil {
		return upload{}, "", storageFault(err)
	}
	u := upload{ID: id}
	if err := json.Unmarshal(b, &u); err != nil {
		return upload{}, "", fault.New(fault.Corrupt, "upload", "upload %q is not readable", id)
	}
	if u.Key != key {
		return upload{}, "", missing
	}
	return u, dir, nil
}

// uploads lists the bucket's unfinished uploads by key, then by age.
func (s *store) uploads(bucket string) ([]upload, error) {
	entries, err := fs.ReadDir(s.root.FS(), path.Join(uploadsDir, bucket))
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, storageFault(err)
	}
	var all []upload
	for _, e := range entries {
		var u upload
		b, err := s.root.ReadFile(path.Join(uploadsDir, bucket, e.Name(), "upload.json"))
		if err == nil && json.Unmarshal(b, &u) == nil {
			u.ID = e.Name()
			all = append(all, u)
		}
	}
	slices.SortStableFunc(all, func(a, b upload) int {
		if c := strings.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		return a.Started.Compare(b.Started)
	})
	return all, nil
}

// parts lists the parts of an upload by number. Of a part that was sent twice, the newest counts.
func (s *store) parts(dir string) ([]part, error) {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return nil, storageFault(err)
	}
	byNumber := map[int]part{}
	for _, e := range entries {
		number, etag, found := strings.Cut(e.Name(), "-")
		n, err := strconv.Atoi(number)
		if !found || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // replaced while we looked
		}
		p := part{number: n, etag: etag, size: info.Size(), modified: info.ModTime(), file: path.Join(dir, e.Name())}
		p.sum = s.partSum(p.file)
		if old, ok := byNumber[n]; !ok || old.modified.Before(p.modified) {
			byNumber[n] = p
		}
	}
	all := make([]part, 0, len(byNumber))
	for _, p := range byNumber {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b part) int { return a.number - b.number })
	return all, nil
}

// partSum is the checksum that was stored with a part; none if there is none.
func (s *store) partSum(file string) checksum {
	f, err := s.root.Open(file)
	if err != nil {
		return checksum{}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return checksum{}
	}
	if a := readAttributes(f, info); a.Checksum != nil {
		return *a.Checksum
	}
	return checksum{}
}

// addPart makes the staged body a part of the upload; when it returns, the part survives a crash.
func (g *staged) addPart(dir string, number int, sum checksum) (part, error) {
	if err := g.save(&attributes{Checksum: &sum}); err != nil {
		return part{}, err
	}
	p := part{number: number, etag: g.etag(), size: g.size, modified: g.store.now(), sum: sum}
	p.file = path.Join(dir, fmt.Sprintf("%05d-%s", number, p.etag))
	old, err := fs.Glob(g.store.root.FS(), fmt.Sprintf("%s/%05d-*", dir, number))
	if err != nil {
		return part{}, storageFault(err)
	}
	if err := g.store.root.Rename(g.name, p.file); err != nil {
		return part{}, storageFault(err)
	}
	for _, name := range old {
		if name != p.file {
			_ = g.store.root.Remove(name)
		}
	}
	return p, g.store.sync(dir)
}

// join copies the parts into one staged body and checks each against the MD5 it had when it arrived. It returns the
// checksum of the whole and S3's ETag for a body of parts: the MD5 of the parts' MD5s and their number.
func (g *staged) join(parts []part, wanted checksum) (sum checksum, etag string, err error) {
	sum = checksum{Algorithm: cmp.Or(wanted.Algorithm, usualAlgorithm), Type: string(types.ChecksumTypeFullObject)}
	whole, err := utils.NewHashReader(nil, "", sum.kind())
	if err != nil {
		return sum, "", fault.Wrap(fault.Invalid, "checksum", err)
	}
	all := md5.New() //nolint:gosec // see the import
	for _, p := range parts {
		digest, err := g.add(p, whole)
		if err != nil {
			return sum, "", err
		}
		if hex.EncodeToString(digest) != p.etag {
			return sum, "", fault.New(fault.Corrupt, "upload", "part %d does not match its digest: send it again", p.number)
		}
		all.Write(digest)
	}
	sum.Value = whole.Sum()
	if wanted.Type == string(types.ChecksumTypeComposite) {
		sum, err = composite(wanted.Algorithm, parts)
	}
	return sum, fmt.Sprintf("%x-%d", all.Sum(nil), len(parts)), err
}

func (g *staged) add(p part, whole *utils.HashReader) ([]byte, error) {
	f, err := g.store.root.Open(p.file)
	if err != nil {
		return nil, storageFault(err)
	}
	defer f.Close()
	whole.SetReader(f)
	sum := md5.New() //nolint:gosec // see the import
	if _, err := io.Copy(io.MultiWriter(g, sum), whole); err != nil {
		return nil, storageFault(err)
	}
	return sum.Sum(nil), nil
}

func (s *store) removeUpload(dir string) error { return storageFault(s.root.RemoveAll(dir)) }
