// SPDX-License-Identifier: Apache-2.0

package fields

import "reflect"

// rules are the entries of a type, by JSON name.
type rules map[string]Rule

// pod is about what all containers of a pod share.
var pod = map[string]rules{
	"PodSpec": {
		"volumes": within(), "initContainers": within(), "containers": within(), "ephemeralContainers": within(),
		"restartPolicy":                 honoured("back-off as a kubelet's: the first restart at once, then after 10 s, 20 s … 5 min; forgotten after 10 min of running"),
		"terminationGracePeriodSeconds": honoured("SIGTERM, then SIGKILL"),
		"activeDeadlineSeconds":         honoured(""),
		"dnsPolicy":                     reported("pods resolve the cluster's names only").but("ClusterFirst", "ClusterFirstWithHostNet", "None"),
		"dnsConfig":                     sandboxed(""),
		"nodeSelector":                  elsewhere("scheduler"), "nodeName": elsewhere("scheduler"), "affinity": elsewhere("scheduler"),
		"schedulerName": elsewhere("scheduler"), "tolerations": elsewhere("scheduler; NoExecute taints by the node controller"),
		"priorityClassName": elsewhere("admission"), "priority": elsewhere("scheduler"), "preemptionPolicy": elsewhere("scheduler"),
		"overhead": elsewhere("scheduler"), "topologySpreadConstraints": elsewhere("scheduler"), "schedulingGates": elsewhere("scheduler"),
		"schedulingGroup":    elsewhere("scheduler"),
		"serviceAccountName": honoured("tokens are bound to the pod"), "serviceAccount": honoured("as serviceAccountName"),
		"automountServiceAccountToken": elsewhere("admission"),
		"hostNetwork":                  refused("pods have a network of their own"), "hostPID": refused(""), "hostIPC": refused(""),
		"hostUsers": refused("a user namespace for the pod; each pod has a user of its own instead").when(func(v reflect.Value) bool {
			return v.Kind() == reflect.Bool && !v.Bool()
		}),
		"shareProcessNamespace": reported("each container has process numbers of its own"),
		"securityContext":       within(), "imagePullSecrets": honoured("for images that are pulled"),
		"hostname": honoured(""), "subdomain": honoured("names below a headless Service; for plain processes they become the loopback address"),
		"setHostnameAsFQDN": reported("the short name stays"), "hostnameOverride": reported("the pod's own name stays"),
		"hostAliases": sandboxed(""), "readinessGates": honoured(""),
		"runtimeClassName":   refused("there is one runtime"),
		"enableServiceLinks": stated("variables named after Services; names are resolved by DNS"),
		"os":                 within(),
		"resourceClaims":     refused("devices are not handed out"),
		"resources":          reported("bounds for all containers together; those of each container hold"),
	},
	"PodOS": {"name": refused("another system's programs").but("linux")},
	"PodSecurityContext": {
		"seLinuxOptions": reported(""), "windowsOptions": refused(""), "seLinuxChangePolicy": reported(""),
		"runAsUser":           sandboxed("root (0) is refused at both levels; without a value each pod has an unprivileged user of its own"),
		"runAsGroup":          sandboxed(""),
		"runAsNonRoot":        sandboxed("no pod runs as root"),
		"supplementalGroups":  sandboxed(""),
		"fsGroup":             sandboxed("owns emptyDir, projected and persistent volumes"),
		"fsGroupChangePolicy": sandboxed(""), "supplementalGroupsPolicy": sandboxed("image host knows no further groups"),
		"sysctls": refused(""), "seccompProfile": within(), "appArmorProfile": within(),
	},
	"SeccompProfile": {
		"type":             stated("no filter of system calls; programs have no capabilities and gain none").but("Unconfined"),
		"localhostProfile": reported("no filter of system calls"),
	},
	"AppArmorProfile": {"type": reported("").but("Unconfined"), "localhostProfile": reported("")},
}
