// SPDX-License-Identifier: Apache-2.0

package staging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"fathom.dev/fathom/internal/fault"
)

// VerifyLedger reads every account below dir, also while a ledger has it open, and returns the files that cannot be read, with
// what is wrong. A torn last line is not wrong: it was never acknowledged. The error is about not being able to look.
func VerifyLedger(dir string) (accounts int, damaged map[string]string, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl"))
	if err != nil {
		return 0, nil, fault.Wrap(fault.Internal, "staging.VerifyLedger", err)
	}
	damaged = map[string]string{}
	for _, path := range files {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // forgotten since it was listed
		} else if err != nil {
			return accounts, damaged, fault.Wrap(fault.Forbidden, "staging.VerifyLedger", err)
		}
		accounts++
		content = content[:bytes.LastIndexByte(content, '\n')+1]
		n := 0
		for line := range bytes.Lines(content) {
			n++
			var e entry
			if err := json.Unmarshal(line, &e); err != nil {
				damaged[path] = fmt.Sprintf("line %d is not readable", n)
				break
			}
		}
	}
	return accounts, damaged, nil
}
