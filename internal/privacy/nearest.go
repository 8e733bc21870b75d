// SPDX-License-Identifier: Apache-2.0

package privacy

import "strings"

// Nearest is the name of the list with the fewest edits from name, ignoring case; "" for an empty list.
func Nearest(name string, list []string) string {
	best, fewest := "", -1
	for _, candidate := range list {
		if d := edits(strings.ToLower(name), strings.ToLower(candidate)); fewest < 0 || d < fewest {
			best, fewest = candidate, d
		}
	}
	return best
}

// edits is the Levenshtein distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost = 1 + min(diagonal, row[j], row[j-1])
			}
			diagonal, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
