// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestPodStartTimes measures, on request, how long pods take from their creation to Running and to Succeeded, one
// after the other and in a burst: FATHOM_MEASURE=20 for 20 pods.
func TestPodStartTimes(t *testing.T) {
	count, _ := strconv.Atoi(os.Getenv("FATHOM_MEASURE"))
	if count == 0 {
		t.Skip("measures only when FATHOM_MEASURE names a number of pods")
	}
	for _, level := range []string{"process", "sandbox", "sandbox in a workspace"} {
		t.Run(level, func(t *testing.T) {
			kind, workspace, _ := strings.Cut(level, " ")
			c := startNode(t, kind).in(t)
			if workspace != "" {
				(&matrix{cluster: c}).policies(denied)
			}
			var first, whole []time.Duration
			for i := range count {
				name := fmt.Sprint("one-", i)
				began := time.Now()
				c.create(shell(name, "sleep 1000", grace(0)))
				c.await(name, "running", running)
				first = append(first, time.Since(began))
				c.delete(name, ptr(int64(0)))
				name = fmt.Sprint("through-", i)
				began = time.Now()
				c.run(shell(name, "true"))
				whole = append(whole, time.Since(began))
			}
			began := time.Now()
			for i := range count {
				c.create(shell(fmt.Sprint("burst-", i), "sleep 1000", grace(0), func(p *v1.Pod) { p.Labels = map[string]string{"burst": "yes"} }))
			}
			for i := range count {
				c.await(fmt.Sprint("burst-", i), "running", running)
			}
			t.Logf("to Running %v, to Succeeded %v (medians of %d); %d at once all Running after %v", median(first), median(whole), count, count, time.Since(began))
			_ = c.client.CoreV1().Pods(c.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{})
		})
	}
}

func median(d []time.Duration) time.Duration {
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return d[len(d)/2]
}
