// SPDX-License-Identifier: Apache-2.0

package fields

import "reflect"

// container is about containers, init containers and ephemeral ones.
var container = map[string]rules{
	"Container":                common(),
	"EphemeralContainerCommon": common(),
	"EphemeralContainer":       {"targetContainerName": reported("the container sees its own processes only")},
	"ContainerPort": {
		"name": honoured("also in Services, probes and NetworkPolicies"), "containerPort": honoured(""), "protocol": honoured(""),
		"hostPort": refused("use a Service, an Endpoint or kubectl port-forward"), "hostIP": refused("as hostPort"),
	},
	"EnvFromSource": {"prefix": honoured(""), "configMapRef": honoured(""), "secretRef": honoured("")},
	"EnvVar":        {"name": honoured(""), "value": honoured("$(NAME) is expanded"), "valueFrom": within()},
	"EnvVarSource": {
		"fieldRef": honoured(""), "resourceFieldRef": honoured(""), "configMapKeyRef": honoured(""), "secretKeyRef": honoured(""),
		"fileKeyRef": refused("use a ConfigMap, or read the file"),
	},
	"ResourceRequirements": {
		"limits":   sandboxed("cpu and memory, where the host delegates control groups; ephemeral-storage is not bounded"),
		"requests": honoured("the scheduler counts them; cpu is also the share under contention, in sandboxes"),
		"claims":   refused("devices are not handed out"),
	},
	"VolumeMount": {
		"name": honoured(""), "mountPath": honoured("plain processes: paths in commands and variables become the real ones"),
		"readOnly": sandboxed(""), "recursiveReadOnly": sandboxed("every read-only mount is"),
		"subPath": honoured("links do not lead out of the volume"), "subPathExpr": honoured(""),
		"mountPropagation": refused("mounts of containers stay theirs").but("None"),
	},
	"Probe": {
		"initialDelaySeconds": honoured(""), "timeoutSeconds": honoured(""), "periodSeconds": honoured("startup and readiness are also tried in between until they first succeed"),
		"successThreshold": honoured(""), "failureThreshold": honoured(""), "terminationGracePeriodSeconds": honoured(""),
	},
	"ProbeHandler":    {"exec": honoured(""), "httpGet": within(), "tcpSocket": within(), "grpc": honoured("")},
	"HTTPGetAction":   {"path": honoured(""), "port": honoured(""), "scheme": honoured(""), "httpHeaders": honoured(""), "host": refused(ownPod)},
	"TCPSocketAction": {"port": honoured(""), "host": refused(ownPod)},
	"Lifecycle": {
		"postStart": within(), "preStop": within(), "stopSignal": honoured(""),
	},
	"LifecycleHandler": {"exec": honoured(""), "httpGet": within(), "tcpSocket": refused("as in the API: exec, httpGet or sleep"), "sleep": honoured("")},
	"SecurityContext": {
		"capabilities": within(), "privileged": refused(""), "seLinuxOptions": reported(""), "windowsOptions": refused(""),
		"runAsUser": sandboxed("root (0) is refused at both levels"), "runAsGroup": sandboxed(""), "runAsNonRoot": sandboxed("no container runs as root"),
		"readOnlyRootFilesystem":   sandboxed("the root of image host is always read-only; /tmp is writable"),
		"allowPrivilegeEscalation": Rule{Sandbox: Reported, Process: Reported, Note: "never allowed in a sandbox"},
		"procMount":                refused("parts of /proc are hidden").but("Default"),
		"seccompProfile":           within(), "appArmorProfile": within(),
	},
	"Capabilities": {
		"add":  refused("no capabilities; ports below 1024 need none").when(beyondBinding),
		"drop": sandboxed("all are dropped"),
	},
}

// ownPod is why probes have no host: they come from the host itself, which reaches what the pod must not.
const ownPod = "probes go to the pod itself"

// common is what all kinds of containers have.
func common() rules {
	return rules{
		"name": honoured(""), "image": honoured("host: the host's programs; others are pulled"),
		"command": honoured(""), "args": honoured(""), "workingDir": honoured(""), "ports": within(), "envFrom": within(), "env": within(),
		"resources": within(), "resizePolicy": stated("the resources of a running pod are not changed"),
		"restartPolicy": honoured("sidecars, and a policy of the container's own"), "restartPolicyRules": honoured(""),
		"volumeMounts": within(), "volumeDevices": refused("no block devices"),
		"livenessProbe": within(), "readinessProbe": within(), "startupProbe": within(), "lifecycle": within(),
		"terminationMessagePath":   honoured("plain processes: FATHOM_TERMINATION_LOG names the real file"),
		"terminationMessagePolicy": honoured(""), "imagePullPolicy": honoured("nothing is pulled for image host"), "securityContext": within(),
		"stdin": reported("the input is empty"), "stdinOnce": reported(""), "tty": reported("use kubectl exec -it"),
	}
}

// beyondBinding tells whether a list of capabilities holds another than that of binding low ports, which pods can anyway.
func beyondBinding(v reflect.Value) bool {
	for i := range v.Len() {
		if v.Index(i).String() != "NET_BIND_SERVICE" {
			return true
		}
	}
	return false
}
