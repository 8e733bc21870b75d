// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"fathom.dev/fathom/internal/testenv"
)

func podVariables(c *cluster) {
	c.configMap("settings", map[string]string{"COLOUR": "blue", "SIZE": "10"})
	c.secret("keys", map[string]string{"KEY": "hidden"})
	settings, keys := v1.LocalObjectReference{Name: "settings"}, v1.LocalObjectReference{Name: "keys"}
	optional := true
	field := func(path string) *v1.EnvVarSource {
		return &v1.EnvVarSource{FieldRef: &v1.ObjectFieldSelector{FieldPath: path}}
	}
	pod := shell("env", "env | sort", func(p *v1.Pod) {
		p.Labels = map[string]string{"role": "train"}
		p.Annotations = map[string]string{"note": "some text"}
		main := &p.Spec.Containers[0]
		main.Resources.Limits = v1.ResourceList{v1.ResourceCPU: resource.MustParse("1500m"), v1.ResourceMemory: resource.MustParse("64Mi")}
		main.EnvFrom = []v1.EnvFromSource{
			{Prefix: "CM_", ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: settings}},
			{ConfigMapRef: &v1.ConfigMapEnvSource{LocalObjectReference: v1.LocalObjectReference{Name: "none"}, Optional: &optional}},
		}
		main.Env = []v1.EnvVar{
			{Name: "PLAIN", Value: "a"}, {Name: "JOINED", Value: "$(PLAIN)-$(CM_SIZE)-$(UNKNOWN)-$$(PLAIN)"},
			{Name: "FROM_CM", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: &v1.ConfigMapKeySelector{LocalObjectReference: settings, Key: "COLOUR"}}},
			{Name: "FROM_SECRET", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: keys, Key: "KEY"}}},
			{Name: "ABSENT", ValueFrom: &v1.EnvVarSource{SecretKeyRef: &v1.SecretKeySelector{LocalObjectReference: keys, Key: "NONE", Optional: &optional}}},
			{Name: "POD", ValueFrom: field("metadata.name")}, {Name: "ROLE", ValueFrom: field("metadata.labels['role']")},
			{Name: "NOTE", ValueFrom: field("metadata.annotations['note']")}, {Name: "IP", ValueFrom: field("status.podIP")},
			{Name: "HOST", ValueFrom: field("status.hostIP")}, {Name: "NODE", ValueFrom: field("spec.nodeName")},
			{Name: "CPUS", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.cpu"}}},
			{Name: "MEM", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &v1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		}
	})
	done := c.run(pod)
	got := "\n" + c.log("env", v1.PodLogOptions{})
	level, _ := c.node.Isolation()
	for _, want := range []string{
		"PLAIN=a", "JOINED=a-10-$(UNKNOWN)-$(PLAIN)", "CM_COLOUR=blue", "CM_SIZE=10", "FROM_CM=blue", "FROM_SECRET=hidden", "POD=env",
		"ROLE=train", "NOTE=some text", "IP=" + done.Status.PodIP, "HOST=" + done.Status.HostIP, "NODE=" + testenv.NodeName,
		"CPUS=2", "MEM=64", "FATHOM_ISOLATION=" + level, "HOSTNAME=env",
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			c.Errorf("environment lacks %s", want)
		}
	}
	if strings.Contains(got, "\nABSENT=") {
		c.Error("an optional key that is not there is set")
	}
	if c.Failed() {
		c.Log(got)
	}
}

func podVolumes(c *cluster) {
	c.configMap("settings", map[string]string{"a": "1", "b": "2"})
	c.secret("keys", map[string]string{"key": "hidden"})
	mode := int32(0o440)
	script := `cat $DIRS/settings/a $DIRS/some/path/here $DIRS/keys/key $DIRS/all/a $DIRS/all/key $DIRS/all/name; ls $DIRS/some; stat -L -c %a $DIRS/keys/key; echo x > $DIRS/scratch/file && echo $DIRS/scratch/*; true`
	local := func(name string) v1.LocalObjectReference { return v1.LocalObjectReference{Name: name} }
	pod := shell("volumes", strings.ReplaceAll(script, "$DIRS", "/v"),
		withVolume("settings", "/v/settings", v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: local("settings")}}),
		withVolume("some", "/v/some", v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: local("settings"), Items: []v1.KeyToPath{{Key: "b", Path: "path/here"}}}}),
		withVolume("keys", "/v/keys", v1.VolumeSource{Secret: &v1.SecretVolumeSource{SecretName: "keys"}}),
		withVolume("scratch", "/v/scratch", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}),
		withVolume("all", "/v/all", v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{DefaultMode: &mode, Sources: []v1.VolumeProjection{
			{ConfigMap: &v1.ConfigMapProjection{LocalObjectReference: local("settings")}},
			{Secret: &v1.SecretProjection{LocalObjectReference: local("keys")}},
			{DownwardAPI: &v1.DownwardAPIProjection{Items: []v1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.name"}, Mode: ptr(int32(0o444))}}}},
		}}}),
		func(p *v1.Pod) { p.Spec.Volumes[4].Projected.DefaultMode = ptr(int32(0o444)) })
	c.run(pod)
	got := c.log("volumes", v1.PodLogOptions{})
	if !strings.HasPrefix(got, "12hidden1hiddenvolumespath\n644\n") || !strings.HasSuffix(got, "/scratch/file\n") {
		c.Errorf("output %q", got)
	}
}

func ptr[T any](v T) *T { return &v }

func podVolumeFollows(c *cluster) {
	c.configMap("moving", map[string]string{"value": "old"})
	c.create(shell("follower", "until grep -q new /config/value; do sleep 0.05; done; echo seen", withVolume("config", "/config", v1.VolumeSource{
		ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "moving"}}})))
	c.await("follower", "running", func(p *v1.Pod) bool { return p.Status.Phase == v1.PodRunning })
	_, err := c.client.CoreV1().ConfigMaps(c.namespace).Update(c.Context(), &v1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "moving"}, Data: map[string]string{"value": "new"}}, metav1.UpdateOptions{})
	if err != nil {
		c.Fatal(err)
	}
	c.await("follower", "finished", finished)
}

func podSubPath(c *cluster) {
	c.configMap("settings", map[string]string{"a": "one"})
	pod := c.run(shell("sub", "cat /file; echo two > /part/x; cat /whole/dir/x",
		withVolume("settings", "/file", v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{LocalObjectReference: v1.LocalObjectReference{Name: "settings"}}}),
		withVolume("scratch", "/part", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}),
		func(p *v1.Pod) {
			mounts := p.Spec.Containers[0].VolumeMounts
			mounts[0].SubPath, mounts[1].SubPath = "a", "dir"
			p.Spec.Containers[0].VolumeMounts = append(mounts, v1.VolumeMount{Name: "scratch", MountPath: "/whole"})
		}))
	if got := c.log("sub", v1.PodLogOptions{}); pod.Status.Phase != v1.PodSucceeded || got != "onetwo\n" {
		c.Errorf("log %q, pod\n%s", got, describe(pod))
	}
}

func podDownward(c *cluster) {
	c.run(shell("facts", "cat /facts/labels; echo; cat /facts/memory",
		func(p *v1.Pod) {
			p.Labels = map[string]string{"b": "2", "a": "1"}
			p.Spec.Containers[0].Resources.Limits = v1.ResourceList{v1.ResourceMemory: resource.MustParse("64Mi")}
		},
		withVolume("facts", "/facts", v1.VolumeSource{DownwardAPI: &v1.DownwardAPIVolumeSource{Items: []v1.DownwardAPIVolumeFile{
			{Path: "labels", FieldRef: &v1.ObjectFieldSelector{FieldPath: "metadata.labels"}},
			{Path: "memory", ResourceFieldRef: &v1.ResourceFieldSelector{ContainerName: "main", Resource: "limits.memory"}},
		}}})))
	if got := c.log("facts", v1.PodLogOptions{}); got != "a=\"1\"\nb=\"2\"\n67108864" {
		c.Errorf("output %q", got)
	}
}

// podServiceAccount reads a pod through the API from inside of the pod, and shows a token of another audience.
func podServiceAccount(c *cluster) {
	ctx := c.Context()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}}}
	if _, err := c.client.RbacV1().Roles(c.namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: c.namespace}}}
	if _, err := c.client.RbacV1().RoleBindings(c.namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		c.Fatal(err)
	}
	script := `import os, ssl, json, urllib.request
dir = os.environ["ACCOUNT"]
url = "https://%s:%s/api/v1/namespaces/%s/pods/caller" % (os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"], open(dir + "/namespace").read())
request = urllib.request.Request(url, headers={"Authorization": "Bearer " + open(dir + "/token").read()})
print(json.load(urllib.request.urlopen(request, context=ssl.create_default_context(cafile=dir + "/ca.crt")))["metadata"]["name"])
print(open(os.environ["FATHOM_TOKEN"]).read())`
	pod := c.run(shell("caller", "", func(p *v1.Pod) {
		p.Spec.Containers[0].Command = []string{"python3", "-c", script}
		p.Spec.Containers[0].Env = []v1.EnvVar{{Name: "ACCOUNT", Value: "/var/run/secrets/kubernetes.io/serviceaccount"}, {Name: "FATHOM_TOKEN", Value: "/var/run/fathom/token"}}
	}, withVolume("fathom", "/var/run/fathom", v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: []v1.VolumeProjection{
		{ServiceAccountToken: &v1.ServiceAccountTokenProjection{Audience: "fathom", Path: "token"}}}}})))
	name, token, _ := strings.Cut(c.log("caller", v1.PodLogOptions{}), "\n")
	if pod.Status.Phase != v1.PodSucceeded || name != "caller" {
		c.Fatalf("output %q, pod\n%s", name+token, describe(pod))
	}
	doors := kubernetes.NewForConfigOrDie(c.env.Doors())
	review, err := doors.AuthenticationV1().TokenReviews().Create(context.Background(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: strings.TrimSpace(token), Audiences: []string{"fathom"}}}, metav1.CreateOptions{})
	if err != nil || !review.Status.Authenticated {
		c.Errorf("the projected token was not accepted: %v, %+v", err, review.Status)
	}
}
