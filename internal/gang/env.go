// SPDX-License-Identifier: Apache-2.0

package gang

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	"fathom.dev/fathom/internal/fault"
)

// The frameworks a gang can be set up for.
const (
	Python     = "python"
	PyTorch    = "pytorch"
	TensorFlow = "tensorflow"
	Horovod    = "horovod"
	MPI        = "mpi"
)

// DefaultPort is the port on which rank 0 (all ranks, for TensorFlow) meets the others; torchrun's own default.
const DefaultPort = 29500

// Gang describes the ranks of one attempt.
type Gang struct {
	Framework string // default Python
	Workers   int    // ranks; default 1
	// Name is the name of the attempt's Job: rank i's pod is called Name-i.
	Name string
	// Service is the headless Service through which ranks find each other; default Name.
	Service string
	// Workspace is the namespace.
	Workspace string
	// Port is the port of every rank, or of rank 0 with Loopback; default DefaultPort.
	Port int
	// Loopback is set where pods are plain processes that share one address: rank i then has 127.0.0.1:Port+i.
	Loopback bool
	// Rendezvous is "host:port" of the key-value store where Horovod's Gloo ranks meet; empty leaves it out.
	Rendezvous string
	// Hostfile is where the ranks find their host file; default /fathom/hostfile.
	Hostfile string
}

func (g Gang) withDefaults() Gang {
	if g.Framework == "" {
		g.Framework = Python
	}
	if g.Workers == 0 {
		g.Workers = 1
	}
	if g.Service == "" {
		g.Service = g.Name
	}
	if g.Port == 0 {
		g.Port = DefaultPort
	}
	if g.Hostfile == "" {
		g.Hostfile = "/fathom/hostfile"
	}
	return g
}

// Host is the DNS name of a rank's pod, "<name>-<rank>.<service>.<workspace>.svc", or 127.0.0.1 with Loopback.
func (g Gang) Host(rank int) string {
	g = g.withDefaults()
	if g.Loopback {
		return "127.0.0.1"
	}
	return fmt.Sprintf("%s-%d.%s.%s.svc", g.Name, rank, g.Service, g.Workspace)
}

// Hosts are the names of all ranks in their order.
func (g Gang) Hosts() []string {
	g = g.withDefaults()
	hosts := make([]string, g.Workers)
	for i := range hosts {
		hosts[i] = g.Host(i)
	}
	return hosts
}

// PortOf is the port on which a rank may listen for the others.
func (g Gang) PortOf(rank int) int {
	g = g.withDefaults()
	if g.Loopback {
		return g.Port + rank
	}
	return g.Port
}

// Environment is the distributed contract: the variables that a rank's command sees. It depends on nothing but its
// arguments. A rank outside 0..Workers-1 or an unknown framework is Invalid.
//
// Every framework gets FATHOM_RANK, FATHOM_WORKERS, FATHOM_MASTER_ADDR, FATHOM_MASTER_PORT, FATHOM_PORT (its own),
// FATHOM_HOSTS and FATHOM_PEERS ("host:port,…", all ranks). On top: torchrun's variables (pytorch), TF_CONFIG with
// worker 0 as chief (tensorflow), Horovod's Gloo variables (horovod), the host file of Open MPI 4 and 5 (mpi).
func (g Gang) Environment(rank int) (map[string]string, error) {
	g = g.withDefaults()
	if rank < 0 || rank >= g.Workers {
		return nil, fault.New(fault.Invalid, "gang", "rank %d of a gang of %d does not exist", rank, g.Workers)
	}
	env := map[string]string{
		"PYTHONUNBUFFERED":   "1",
		"FATHOM_RANK":        strconv.Itoa(rank),
		"FATHOM_WORKERS":     strconv.Itoa(g.Workers),
		"FATHOM_MASTER_ADDR": g.Host(0),
		"FATHOM_MASTER_PORT": strconv.Itoa(g.PortOf(0)),
		"FATHOM_PORT":        strconv.Itoa(g.PortOf(rank)),
		"FATHOM_HOSTS":       strings.Join(g.Hosts(), ","),
		"FATHOM_PEERS":       strings.Join(g.peers(), ","),
	}
	switch g.Framework {
	case Python:
	case PyTorch:
		g.pytorch(env, rank)
	case TensorFlow:
		return env, g.tensorflow(env, rank)
	case Horovod:
		return env, g.horovod(env, rank)
	case MPI:
		g.mpi(env)
	default:
		return nil, fault.New(fault.Invalid, "gang", "unknown framework %q", g.Framework).
			WithHint("use python, pytorch, tensorflow, horovod or mpi")
	}
	return env, nil
}

func (g Gang) peers() []string {
	peers := make([]string, g.Workers)
	for i := range peers {
		peers[i] = net.JoinHostPort(g.Host(i), strconv.Itoa(g.PortOf(i)))
	}
	return peers
}

// pytorch serves both `python train.py` (env:// initialisation, one process a rank) and `torchrun train.py`, which
// reads its flags from PET_*.
func (g Gang) pytorch(env map[string]string, rank int) {
	master, port, workers, me := g.Host(0), strconv.Itoa(g.PortOf(0)), strconv.Itoa(g.Workers), strconv.Itoa(rank)
	for k, v := range map[string]string{
		"MASTER_ADDR": master, "MASTER_PORT": port, "WORLD_SIZE": workers, "RANK": me,
		"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": me,
		"PET_NNODES": workers, "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": me,
		"PET_MASTER_ADDR": master, "PET_MASTER_PORT": port,
	} {
		env[k] = v
	}
}

func (g Gang) tensorflow(env map[string]string, rank int) error {
	config, err := json.Marshal(map[string]any{
		"cluster":     map[string][]string{"worker": g.peers()},
		"task":        map[string]any{"type": "worker", "index": rank},
		"environment": "cloud",
	})
	if err != nil {
		return fault.Wrap(fault.Internal, "gang", err)
	}
	env["TF_CONFIG"] = string(config)
	return nil
}

func (g Gang) horovod(env map[string]string, rank int) error {
	workers, me, nic := strconv.Itoa(g.Workers), strconv.Itoa(rank), "eth0"
	if g.Loopback {
		nic = "lo"
	}
	// With one process a host, local rank is 0 and the cross communicator spans all ranks. Loopback ranks share an
	// address but not a name, or Horovod would take them for processes of one host.
	for k, v := range map[string]string{
		"HOROVOD_CONTROLLER": "gloo", "HOROVOD_CPU_OPERATIONS": "gloo", "HOROVOD_GLOO_IFACE": nic,
		"HOROVOD_HOSTNAME": fmt.Sprintf("%s-%d", g.Name, rank),
		"HOROVOD_RANK":     me, "HOROVOD_SIZE": workers,
		"HOROVOD_LOCAL_RANK": "0", "HOROVOD_LOCAL_SIZE": "1",
		"HOROVOD_CROSS_RANK": me, "HOROVOD_CROSS_SIZE": workers,
	} {
		env[k] = v
	}
	if g.Rendezvous == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(g.Rendezvous)
	if err != nil {
		return fault.New(fault.Invalid, "gang", "rendezvous %q is not host:port", g.Rendezvous)
	}
	env["HOROVOD_GLOO_RENDEZVOUS_ADDR"], env["HOROVOD_GLOO_RENDEZVOUS_PORT"] = host, port
	return nil
}

// mpi names the host file to both Open MPI 4 (orte) and 5, which ignores every OMPI_MCA_orte_* variable (prte).
func (g Gang) mpi(env map[string]string) {
	for k, v := range map[string]string{
		"FATHOM_HOSTFILE":                   g.Hostfile,
		"OMPI_MCA_orte_default_hostfile":    g.Hostfile,
		"OMPI_MCA_orte_keep_fqdn_hostnames": "true",
		"OMPI_MCA_orte_set_default_slots":   "1",
		"PRTE_MCA_prte_default_hostfile":    g.Hostfile,
		"PRTE_MCA_prte_keep_fqdn_hostnames": "true",
		"PRTE_MCA_prte_set_default_slots":   "1",
		"HYDRA_HOST_FILE":                   g.Hostfile,
		"I_MPI_HYDRA_HOST_FILE":             g.Hostfile,
	} {
		env[k] = v
	}
}
