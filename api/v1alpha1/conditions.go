// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxMessage bounds a condition's message in bytes, well inside the API's 32 KiB and the 5 KB of an object.
const maxMessage = 2000

// SetReady puts the Ready condition: true only for reason Ready. The transition time moves when the status flips.
func SetReady(conditions *[]metav1.Condition, reason, message string, generation int64, now time.Time) {
	status := metav1.ConditionFalse
	if reason == ReasonReady {
		status = metav1.ConditionTrue
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: ConditionReady, Status: status, Reason: reason, Message: message,
		ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
	})
}

// Ready returns the reason and message of the Ready condition, both empty when there is none yet.
func Ready(conditions []metav1.Condition) (reason, message string) {
	if c := meta.FindStatusCondition(conditions, ConditionReady); c != nil {
		return c.Reason, c.Message
	}
	return "", ""
}
