// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"runtime"
	"strings"
	"time"

	vk "github.com/virtual-kubelet/virtual-kubelet/node"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/fields"
)

const (
	// IsolationLabel of the Node object names the isolation that is on.
	IsolationLabel = "fathom.dev/isolation"
	// UnenforcedAnnotation lists what the node does not enforce, separated by "; ".
	UnenforcedAnnotation = "fathom.dev/not-enforced"
	// FullyEnforced is the condition that says so.
	FullyEnforced v1.NodeConditionType = "fathom.dev/FullyEnforced"
)

// maxPods is limited by the addresses of a /24.
const maxPods = 200

// leaseSeconds is how long the node counts as alive without a sign of life.
const leaseSeconds = 40

// register makes or takes over the Node object and keeps it and its lease alive.
func (n *Node) register(ctx context.Context) error {
	controller, err := vk.NewNodeController(vk.NaiveNodeProvider{}, n.object(), n.client.CoreV1().Nodes(),
		vk.WithNodeEnableLeaseV1(n.client.CoordinationV1().Leases(v1.NamespaceNodeLease), leaseSeconds),
		vk.WithNodeStatusUpdateInterval(time.Minute),
		vk.WithNodeStatusUpdateErrorHandler(n.registerAgain))
	if err != nil {
		return fault.Wrap(fault.Internal, "node.Start: register", err)
	}
	go func() { _ = controller.Run(n.ctx) }() // its error is read below, or follows from the end of ctx
	select {
	case <-controller.Ready():
		return nil
	case <-controller.Done():
		return fault.Wrap(fault.Unavailable, "node.Start: register", controller.Err())
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, "node.Start: register", ctx.Err())
	}
}

// registerAgain makes the Node object anew when somebody has deleted it.
func (n *Node) registerAgain(ctx context.Context, err error) error {
	if !apierrors.IsNotFound(err) {
		return err
	}
	_, err = n.client.CoreV1().Nodes().Create(ctx, n.object(), metav1.CreateOptions{})
	return err
}

func (n *Node) object() *v1.Node {
	level, unenforced := n.Isolation()
	unenforced = append(unenforced, fields.StatedFields()...)
	now := metav1.NewTime(n.now())
	condition := func(kind v1.NodeConditionType, status v1.ConditionStatus, reason, message string) v1.NodeCondition {
		return v1.NodeCondition{Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	enforced := condition(FullyEnforced, v1.ConditionTrue, "Sandbox", "everything is enforced")
	if len(unenforced) > 0 {
		enforced = condition(FullyEnforced, v1.ConditionFalse, strings.ToUpper(level[:1])+level[1:], "not enforced: "+strings.Join(unenforced, "; "))
	}
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: n.options.Name,
			Labels: map[string]string{
				v1.LabelHostname: n.options.Name, v1.LabelOSStable: runtime.GOOS, v1.LabelArchStable: runtime.GOARCH, IsolationLabel: level,
			},
			Annotations: map[string]string{UnenforcedAnnotation: strings.Join(unenforced, "; ")},
		},
		Status: v1.NodeStatus{
			Capacity: capacity(), Allocatable: allocatable(),
			Conditions: []v1.NodeCondition{
				condition(v1.NodeReady, v1.ConditionTrue, "KubeletReady", "the local node runs pods with "+level+" isolation"),
				condition(v1.NodeMemoryPressure, v1.ConditionFalse, "KubeletHasSufficientMemory", ""),
				condition(v1.NodeDiskPressure, v1.ConditionFalse, "KubeletHasNoDiskPressure", ""),
				condition(v1.NodePIDPressure, v1.ConditionFalse, "KubeletHasSufficientPID", ""),
				condition(v1.NodeNetworkUnavailable, v1.ConditionFalse, "RouteCreated", ""),
				enforced,
			},
			Addresses:       []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: "127.0.0.1"}},
			DaemonEndpoints: v1.NodeDaemonEndpoints{KubeletEndpoint: v1.DaemonEndpoint{Port: n.server.port()}},
			NodeInfo: v1.NodeSystemInfo{
				OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
				ContainerRuntimeVersion: "fathom://" + level, KubeletVersion: "v1.36.3-fathom",
			},
		},
	}
}

func capacity() v1.ResourceList {
	return v1.ResourceList{
		v1.ResourceCPU:    *resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI),
		v1.ResourceMemory: *resource.NewQuantity(hostMemory(), resource.BinarySI),
		v1.ResourcePods:   *resource.NewQuantity(maxPods, resource.DecimalSI),
	}
}

// reservedMemory is kept for Fathom itself and the system.
const reservedMemory = 512 << 20

func allocatable() v1.ResourceList {
	list := capacity()
	memory := list[v1.ResourceMemory]
	if memory.Value() > 2*reservedMemory {
		memory.Sub(*resource.NewQuantity(reservedMemory, resource.BinarySI))
	}
	list[v1.ResourceMemory] = memory
	return list
}
