// SPDX-License-Identifier: Apache-2.0

package tracking

import (
	"container/heap"
	"slices"
)

// top keeps the first limit rows of an order, the last of them on top of a heap: O(rows · log limit), O(limit) memory.
type top[T any] struct {
	less  func(a, b T) bool
	limit int
	rows  []T
}

func (t *top[T]) offer(row T) {
	if len(t.rows) < t.limit {
		heap.Push((*topHeap[T])(t), row)
		return
	}
	if t.limit > 0 && t.less(row, t.rows[0]) {
		t.rows[0] = row
		heap.Fix((*topHeap[T])(t), 0)
	}
}

// sorted returns the rows in order and ends the collection.
func (t *top[T]) sorted() []T {
	slices.SortFunc(t.rows, func(a, b T) int {
		switch {
		case t.less(a, b):
			return -1
		case t.less(b, a):
			return 1
		}
		return 0
	})
	return t.rows
}

type topHeap[T any] top[T]

func (h *topHeap[T]) Len() int           { return len(h.rows) }
func (h *topHeap[T]) Less(i, j int) bool { return h.less(h.rows[j], h.rows[i]) }
func (h *topHeap[T]) Swap(i, j int)      { h.rows[i], h.rows[j] = h.rows[j], h.rows[i] }
func (h *topHeap[T]) Push(x any)         { h.rows = append(h.rows, x.(T)) }
func (h *topHeap[T]) Pop() any {
	last := h.rows[len(h.rows)-1]
	h.rows = h.rows[:len(h.rows)-1]
	return last
}
