// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/node/volume"
)

// variables resolves the environment of a container.
type variables struct {
	objects volume.Objects
	facts   facts
	pod     *v1.Pod
	list    []string
	values  map[string]string
}

// resolve gives KEY=value pairs in the order in which they were declared, and the command line with references to
// them expanded. base comes first and may be overridden.
func (v *variables) resolve(ctx context.Context, c *v1.Container, base []string) (env, args []string, err error) {
	v.values = map[string]string{}
	for _, pair := range base {
		key, value, _ := strings.Cut(pair, "=")
		v.set(key, value)
	}
	for _, from := range c.EnvFrom {
		if err := v.from(ctx, from); err != nil {
			return nil, nil, err
		}
	}
	for _, e := range c.Env {
		value, ok, err := v.value(ctx, c, e)
		if err != nil {
			return nil, nil, fault.Wrap(fault.Invalid, "env "+e.Name, err)
		}
		if ok {
			v.set(e.Name, value)
		}
	}
	for _, a := range append(append([]string(nil), c.Command...), c.Args...) {
		args = append(args, expand(a, v.values))
	}
	return v.list, args, nil
}

func (v *variables) set(key, value string) {
	v.values[key] = value
	v.list = append(v.list, key+"="+value)
}

func (v *variables) from(ctx context.Context, from v1.EnvFromSource) error {
	data := map[string]string{}
	switch {
	case from.ConfigMapRef != nil:
		object, err := v.objects.ConfigMap(ctx, v.pod.Namespace, from.ConfigMapRef.Name)
		if err := unlessOptional(err, from.ConfigMapRef.Optional); err != nil {
			return err
		}
		if err == nil {
			data = object.Data
		}
	case from.SecretRef != nil:
		object, err := v.objects.Secret(ctx, v.pod.Namespace, from.SecretRef.Name)
		if err := unlessOptional(err, from.SecretRef.Optional); err != nil {
			return err
		}
		if err == nil {
			for k, b := range object.Data {
				data[k] = string(b)
			}
		}
	}
	keys := make([]string, 0, len(data))
	for k := range data {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		v.set(from.Prefix+k, data[k])
	}
	return nil
}

func unlessOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

// value gives what a variable says; ok is false for an optional reference to nothing.
func (v *variables) value(ctx context.Context, c *v1.Container, e v1.EnvVar) (value string, ok bool, err error) {
	ref := e.ValueFrom
	switch {
	case ref == nil:
		return expand(e.Value, v.values), true, nil
	case ref.FieldRef != nil:
		value, err = v.facts.Field(v.pod, ref.FieldRef.FieldPath)
		return value, true, err
	case ref.ResourceFieldRef != nil:
		value, err = v.facts.Resource(v.pod, c, ref.ResourceFieldRef)
		return value, true, err
	case ref.ConfigMapKeyRef != nil:
		object, err := v.objects.ConfigMap(ctx, v.pod.Namespace, ref.ConfigMapKeyRef.Name)
		if err != nil {
			return "", false, unlessOptional(err, ref.ConfigMapKeyRef.Optional)
		}
		value, ok = object.Data[ref.ConfigMapKeyRef.Key]
		return value, ok, missingKey(ok, "ConfigMap", ref.ConfigMapKeyRef.Name, ref.ConfigMapKeyRef.Key, ref.ConfigMapKeyRef.Optional)
	case ref.SecretKeyRef != nil:
		object, err := v.objects.Secret(ctx, v.pod.Namespace, ref.SecretKeyRef.Name)
		if err != nil {
			return "", false, unlessOptional(err, ref.SecretKeyRef.Optional)
		}
		raw, ok := object.Data[ref.SecretKeyRef.Key]
		return string(raw), ok, missingKey(ok, "Secret", ref.SecretKeyRef.Name, ref.SecretKeyRef.Key, ref.SecretKeyRef.Optional)
	}
	return "", false, fault.New(fault.Invalid, "node", "the local node knows no such source of a value")
}

func missingKey(ok bool, kind, name, key string, optional *bool) error {
	if ok || optional != nil && *optional {
		return nil
	}
	return fault.New(fault.NotFound, "node", "%s %s has no key %q", kind, name, key)
}

// expand replaces $(NAME) by the value of a known variable; $$ stands for a dollar sign that begins no reference.
func expand(s string, values map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i:], ')')
			if end < 0 {
				out.WriteString(s[i:])
				return out.String()
			}
			reference := s[i : i+end+1]
			if value, ok := values[reference[2:end]]; ok {
				out.WriteString(value)
			} else {
				out.WriteString(reference)
			}
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}
