// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"path"
	"regexp"
	"strings"
	"unicode/utf8"

	"fathom.dev/fathom/internal/fault"
)

// The limits of mlflow/utils/validation.py (3.17), in characters unless said otherwise.
const (
	MaxKey               = 250    // a key of a metric, parameter or tag
	MaxParamValue        = 6000   // longer values are cut
	MaxTagValue          = 8000   // longer values are cut
	MaxExperimentName    = 500    //
	MaxExperimentTag     = 20000  // value
	MaxRegistryTag       = 100000 // value
	MaxAlias             = 255    //
	MaxBatchMetrics      = 1000   // metrics a batch
	MaxBatchParams       = 100    // parameters a batch
	MaxBatchTags         = 100    // tags a batch
	MaxBatch             = 1000   // metrics, parameters and tags a batch together
	MaxDatasetName       = 500
	MaxDatasetDigest     = 36
	MaxDatasetSchema     = 1048575  // bytes
	MaxDatasetSource     = 65535    // bytes
	MaxDatasetProfile    = 16777215 // bytes
	MaxInputTagKey       = 255
	MaxInputTagValue     = 500
	MaxRegisteredName    = 256
	MaxDescription       = 5000
	MaxRunName           = 250
	MaxModelsPerRequest  = 1000
	MaxSearchRuns        = 50000 // results a page
	MaxSearchExperiments = 50000
	MaxSearchRegistered  = 1000
	MaxSearchVersions    = 200000
)

var (
	namePattern    = regexp.MustCompile(`^[/\p{L}\p{M}\p{N}_.\- :]*$`)
	idPattern      = regexp.MustCompile(`^[0-9a-f]{32}$`)
	runPattern     = regexp.MustCompile(`^[a-zA-Z0-9][\w\-]{0,255}$`)
	aliasPattern   = regexp.MustCompile(`^[\w\-]+$`)
	versionPattern = regexp.MustCompile(`^[vV]\d+$`)
)

// ErrInactive marks an error that says: this exists, but was deleted and must be restored first.
var ErrInactive error = &fault.Error{Kind: fault.Invalid, Err: inactive("not active")}

type inactive string

func (i inactive) Error() string        { return string(i) }
func (i inactive) Is(target error) bool { return target == ErrInactive }

func invalid(format string, args ...any) error {
	return fault.New(fault.Invalid, "", format, args...)
}

func notFound(format string, args ...any) error {
	return fault.New(fault.NotFound, "", format, args...)
}

func exists(format string, args ...any) error {
	return fault.New(fault.Conflict, "", format, args...)
}

func isInactive(text string) error {
	return &fault.Error{Kind: fault.Invalid, Err: inactive(text)}
}

// checkName refuses a key that MLflow refuses: other characters than letters, digits and "/_-. :", or a name that
// is another name when read as a path. field is where it stands in the request.
func checkName(field, name string) error {
	switch {
	case name == "":
		return invalid("Invalid value %q for parameter '%s' supplied: A key name must be provided.", name, field)
	case !utf8.ValidString(name) || !namePattern.MatchString(name):
		return invalid("Invalid value %q for parameter '%s' supplied: Names may only contain alphanumerics, underscores (_), "+
			"dashes (-), periods (.), spaces ( ), colon(:) and slashes (/).", clip(name), field)
	case pathNotUnique(name):
		return invalid("Invalid value %q for parameter '%s' supplied: Names may be treated as files in certain cases, and must "+
			"not resolve to other names when treated as such. This name would resolve to '%s'", clip(name), field, clip(path.Clean(name)))
	}
	return checkLength(field, name, MaxKey)
}

func pathNotUnique(name string) bool {
	clean := path.Clean(name)
	return clean != name || clean == "." || strings.HasPrefix(clean, "..") || strings.HasPrefix(clean, "/")
}

func checkLength(field, value string, limit int) error {
	if len(value) > limit && utf8.RuneCountInString(value) > limit {
		return invalid("'%s' exceeds the maximum length of %d characters", field, limit)
	}
	return nil
}

// cut shortens a value to limit characters, as MLflow does with long parameters and tags.
func cut(value string, limit int) string {
	if len(value) <= limit || utf8.RuneCountInString(value) <= limit {
		return value
	}
	count := 0
	for i := range value {
		if count == limit {
			return value[:i]
		}
		count++
	}
	return value
}

// clip shortens what is shown in an error.
func clip(s string) string {
	if len(s) > 100 {
		return cut(s, 100) + "…"
	}
	return s
}

func checkRunID(id string) error {
	if !runPattern.MatchString(id) {
		return invalid("Invalid value %q for parameter 'run_id' supplied.", clip(id))
	}
	return nil
}

// checkText refuses control characters, which no name may have.
func checkText(field, value string, limit int) error {
	if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("'%s' must be text without control characters", field)
	}
	return checkLength(field, value, limit)
}

func isNotFound(err error) bool { return fault.Is(err, fault.NotFound) }

func isConflict(err error) bool { return fault.Is(err, fault.Conflict) }
