// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"fathom.dev/fathom/internal/fault"
	"fathom.dev/fathom/internal/kube/pki"
)

// Identity names one of the server components that have a client certificate of their own.
type Identity string

// The identities. What each may do is told in rbac.yaml, except Node (the Node authorizer, NodeRestriction and
// rbac.yaml), ControllerManager and Scheduler (Kubernetes' built-in roles).
const (
	Operator          Identity = "operator"           // user fathom:operator
	Doors             Identity = "doors"              // user fathom:doors
	Node              Identity = "node"               // user system:node:<NodeName>, group system:nodes
	ControllerManager Identity = "controller-manager" // user system:kube-controller-manager
	Scheduler         Identity = "scheduler"          // user system:kube-scheduler
)

// Names that other packages and RBAC objects refer to.
const (
	OwnerUser  = "fathom:owner"          // the person whose machine this is
	OwnerGroup = "fathom:owners"         // bound to the ClusterRole of the same name
	KubeletAPI = "fathom:kube-apiserver" // as whom the API server calls the node for logs, exec and port-forward
)

// subject is what a client certificate says.
type subject struct {
	user   string
	groups []string
}

func (cp *ControlPlane) subjects() map[Identity]subject {
	return map[Identity]subject{
		Operator:          {user: "fathom:operator"},
		Doors:             {user: "fathom:doors"},
		Node:              {user: "system:node:" + cp.opts.NodeName, groups: []string{"system:nodes"}},
		ControllerManager: {user: "system:kube-controller-manager"},
		Scheduler:         {user: "system:kube-scheduler"},
	}
}

// issuedCertificates remembers when the files in pki/ must be renewed.
type issuedCertificates struct {
	mu      sync.Mutex
	renewAt time.Time
}

// prepareIdentities loads or makes the authority and the keys, and writes fresh certificates.
func (cp *ControlPlane) prepareIdentities() error {
	if err := prepareFiles(cp.state); err != nil {
		return err
	}
	var err error
	if cp.authority, err = pki.Open(cp.state.path("pki"), !cp.state.used(), cp.opts.Now); err != nil {
		return err
	}
	cp.issued = &issuedCertificates{}
	return cp.issueAll()
}

// issueAll writes every certificate file and kubeconfig anew. Running servers and clients pick the new files up.
func (cp *ControlPlane) issueAll() error {
	cp.issued.mu.Lock()
	defer cp.issued.mu.Unlock()
	ttl := cp.opts.CertificateTTL
	serving, err := cp.authority.Serving(cp.serverNames(), cp.serverIPs(), ttl)
	if err != nil {
		return err
	}
	if err := serving.Write(cp.state.path("pki"), "apiserver"); err != nil {
		return err
	}
	kubelet, err := cp.authority.Client(KubeletAPI, nil, ttl)
	if err != nil {
		return err
	}
	if err := kubelet.Write(cp.state.path("pki"), "apiserver-kubelet"); err != nil {
		return err
	}
	for id, s := range cp.subjects() {
		if err := cp.writeIdentity(id, s, ttl); err != nil {
			return err
		}
	}
	owners := append([]string{OwnerGroup}, cp.opts.OwnerGroups...)
	if err := cp.WriteKubeconfig(cp.KubeconfigPath(), OwnerUser, owners, ttl); err != nil {
		return err
	}
	cp.issued.renewAt = cp.opts.Now().Add(ttl / 2)
	return nil
}

// writeIdentity writes pki/<id>.{key,crt} and a kubeconfig that names these files, so that clients follow renewals.
func (cp *ControlPlane) writeIdentity(id Identity, s subject, ttl time.Duration) error {
	p, err := cp.authority.Client(s.user, s.groups, ttl)
	if err != nil {
		return err
	}
	if err := p.Write(cp.state.path("pki"), string(id)); err != nil {
		return err
	}
	return cp.writeConfig(cp.identityKubeconfig(id), &clientcmdapi.AuthInfo{
		ClientCertificate: string(id) + ".crt",
		ClientKey:         string(id) + ".key",
	})
}

func (cp *ControlPlane) identityKubeconfig(id Identity) string {
	return cp.state.key(string(id) + ".kubeconfig")
}

// startRenewer renews the certificates at half of their life. It looks often instead of sleeping until then, because
// a suspended laptop's timers stand still.
func (cp *ControlPlane) startRenewer() {
	cp.renewer = cp.run("certificates", func(ctx context.Context) error {
		tick := time.NewTicker(min(time.Minute, cp.opts.CertificateTTL/8))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := cp.renewIfDue(); err != nil {
					cp.opts.Logger.Error("certificates could not be renewed", "error", err)
				}
			}
		}
	})
}

func (cp *ControlPlane) renewIfDue() error {
	cp.issued.mu.Lock()
	due := !cp.opts.Now().Before(cp.issued.renewAt)
	cp.issued.mu.Unlock()
	if !due {
		return nil
	}
	return cp.issueAll()
}

// CA is the authority's certificate in PEM. It verifies the API server, everything signed with [ControlPlane.IssueServingCert],
// and client certificates.
func (cp *ControlPlane) CA() []byte { return cp.authority.PEM() }

// CAPool is CA as a pool.
func (cp *ControlPlane) CAPool() *x509.CertPool { return cp.authority.Pool() }

// RESTConfig is a client configuration for a component. It refers to files that are renewed in place. Each call
// returns a new value, which the caller may change.
func (cp *ControlPlane) RESTConfig(id Identity) *rest.Config {
	return &rest.Config{
		Host: cp.endpoint,
		TLSClientConfig: rest.TLSClientConfig{
			CAFile:   cp.state.key("ca.crt"),
			CertFile: cp.state.key(string(id) + ".crt"),
			KeyFile:  cp.state.key(string(id) + ".key"),
		},
		QPS:   200,
		Burst: 400,
	}
}

// IssueClientCert signs a certificate for a person or program and returns it with its key, in PEM. Names of the
// control plane itself (user or group "system:…", "fathom:operator", "fathom:doors") are refused as Invalid, and so
// is a life beyond 366 days.
func (cp *ControlPlane) IssueClientCert(user string, groups []string, ttl time.Duration) (cert, key []byte, err error) {
	const op = "kube.IssueClientCert"
	if user == "" || ttl <= 0 || ttl > 366*24*time.Hour {
		return nil, nil, fault.New(fault.Invalid, op, "a user and a life of at most 366 days are needed, got %q and %s", user, ttl)
	}
	for _, name := range append([]string{user}, groups...) {
		if reserved(name) {
			return nil, nil, fault.New(fault.Invalid, op, "%q is reserved for the control plane", name)
		}
	}
	p, err := cp.authority.Client(user, groups, ttl)
	return p.Cert, p.Key, err
}

func reserved(name string) bool {
	return strings.HasPrefix(name, "system:") || name == "fathom:operator" || name == "fathom:doors" || name == KubeletAPI
}

// IssueServingCert signs a certificate for a TLS server of ours that lives CertificateTTL. Use
// [ControlPlane.ServingCertificate] for a server that outlives it.
func (cp *ControlPlane) IssueServingCert(names []string, ips []net.IP) (tls.Certificate, error) {
	p, err := cp.authority.Serving(names, ips, cp.opts.CertificateTTL)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := tls.X509KeyPair(p.Cert, p.Key)
	return cert, fault.Wrap(fault.Internal, "kube.IssueServingCert", err)
}

// ServingCertificate returns a function for tls.Config.GetCertificate that renews the certificate at half of its life.
func (cp *ControlPlane) ServingCertificate(names []string, ips []net.IP) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	var mu sync.Mutex
	var current *tls.Certificate
	var renewAt time.Time
	return func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		if now := cp.opts.Now(); current == nil || !now.Before(renewAt) {
			cert, err := cp.IssueServingCert(names, ips)
			if err != nil {
				return nil, err
			}
			current, renewAt = &cert, now.Add(cp.opts.CertificateTTL/2)
		}
		return current, nil
	}
}

// KubeconfigPath is the owner's kubeconfig, written at each start and renewed.
func (cp *ControlPlane) KubeconfigPath() string { return cp.state.path("kubeconfig") }

// WriteKubeconfig writes a self-contained kubeconfig (mode 0600) for a person. Refuses what
// [ControlPlane.IssueClientCert] refuses.
func (cp *ControlPlane) WriteKubeconfig(path, user string, groups []string, ttl time.Duration) error {
	cert, key, err := cp.IssueClientCert(user, groups, ttl)
	if err != nil {
		return err
	}
	return cp.writeConfig(path, &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key})
}

func (cp *ControlPlane) writeConfig(path string, who *clientcmdapi.AuthInfo) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["fathom"] = &clientcmdapi.Cluster{Server: cp.endpoint, CertificateAuthorityData: cp.authority.PEM()}
	config.AuthInfos["fathom"] = who
	config.Contexts["fathom"] = &clientcmdapi.Context{Cluster: "fathom", AuthInfo: "fathom"}
	config.CurrentContext = "fathom"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return fault.Wrap(fault.Internal, "kube: write kubeconfig", err)
	}
	return pki.WriteFile(path, data, 0o600)
}

// administrator is an in-memory system:masters identity for start-up work. Its certificate lives ten minutes.
func (cp *ControlPlane) administrator() (*rest.Config, error) {
	p, err := cp.authority.Client("fathom:bootstrap", []string{"system:masters"}, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            cp.endpoint,
		TLSClientConfig: rest.TLSClientConfig{CAData: cp.authority.PEM(), CertData: p.Cert, KeyData: p.Key},
		QPS:             -1,
	}, nil
}

func (cp *ControlPlane) serverNames() []string {
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	return append(names, cp.opts.ExtraNames...)
}

func (cp *ControlPlane) serverIPs() []net.IP {
	ips := []net.IP{net.ParseIP(loopback), net.IPv6loopback, firstAddress(cp.opts.ServiceCIDR)}
	return append(ips, cp.opts.ExtraIPs...)
}

// firstAddress is the address of the Service default/kubernetes.
func firstAddress(cidr string) net.IP {
	_, network, err := net.ParseCIDR(cidr)
	if err != nil {
		return nil
	}
	ip := slices.Clone(network.IP)
	ip[len(ip)-1]++
	return ip
}
