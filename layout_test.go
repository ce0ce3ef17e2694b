package drawbridge

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/drawbridge-net/drawbridge"

// mayImport is the table of docs/architecture.md: which of our packages each package may import. An entry
// that ends in "/..." stands for a whole tree. Test files follow the same table, and may import the
// packages named …test besides.
var mayImport = map[string][]string{
	"":                          {},
	"failover":                  {""},
	"failover/gate":             {"", "failover"},
	"failover/lease":            {""},
	"failover/lease/agent":      {"", "failover", "failover/lease", "failover/gate", "failover/lease/agent/pipe"},
	"failover/lease/agent/pipe": {"", "failover/lease"},
	"failover/lease/warden":     {"", "failover", "failover/lease", "failover/lease/agent", "failover/lease/agent/pipe", "failover/gate"},
	"failover/alone":            {"", "failover"},
	"failover/alone/runner":     {"", "failover/alone"},
	"failover/handover":         {"", "failover"},
	"failover/announce":         {""},
	"failover/raftgroup":        {"", "failover"},
	"failover/steward":          {"", "failover", "failover/raftgroup"},
	"forwarder":                 {"", "failover"},
	"forwarder/segment":         {""},
	"forwarder/descriptor":      {},
	"forwarder/afpacket":        {"", "forwarder", "forwarder/segment", "forwarder/descriptor"},
	"forwarder/tap":             {"", "forwarder", "forwarder/segment", "forwarder/descriptor"},
	"forwarder/kernel":          {"", "failover", "failover/gate", "forwarder/afpacket"}, // gate and socket in tests only: ports are given a descriptor
	"forwarder/wireguard":       {""},
	"forwarder/capture":         {"", "forwarder", "forwarder/segment"},
	"forwarder/porttest":        {"", "forwarder"},
	"mesh":                      {"", "mesh/..."},
	"mesh/meshtest":             {"", "mesh", "mesh/..."},
	"mesh/wire":                 {""},
	"mesh/secure":               {""},
	"mesh/udp":                  {""},
	"mesh/topology":             {"", "mesh/wire"},
	"mesh/transit":              {"", "mesh/wire", "mesh/secure", "mesh/udp"},
	"ipam":                      {""},
	"ipam/...":                  {"", "ipam"},
	"ipam/dhcp":                 {"", "ipam/arp"},
	"systemd":                   {},
	"web":                       {"", "web/access"},
	"web/access":                {""},
	"web/...":                   {"", "web", "web/..."},
	"appliance/acks":            {"", "mesh", "web"},
	"appliance/config":          {"", "appliance/keypath"},
	"appliance/engine":          {"", "forwarder/kernel", "forwarder/wireguard"},
	"appliance/hostnet":         {""},
	"appliance/notify":          {""},
	"appliance/diag":            {},
	"appliance/doctor":          {"", "appliance/config", "appliance/hostnet", "failover", "failover/gate", "forwarder/kernel", "forwarder/wireguard"},
	"appliance/netconfig":       {"", "appliance/keypath"},
	"appliance/slot":            {""},
	"appliance/subnets":         {"", "appliance/netconfig", "ipam", "ipam/keeper", "web"}, // keeper in tests only
	"appliance/disks":           {"", "appliance/slot"},
	"appliance/fat":             {},
	"appliance/installer":       {"", "appliance/disks", "appliance/fat", "appliance/slot"},
	"appliance/errand":          {},
	"appliance/screen":          {"appliance/disks", "appliance/installer"},
	"appliance/rollout":         {""},
	"appliance/microscope":      {"web"},
	"appliance/lastword":        {""},
	"appliance/keep":            {"", "failover", "failover/announce", "failover/gate", "failover/handover", "forwarder"},
	"appliance/backup":          {},
	"appliance/keypath":         {},
	"appliance/lab":             {"", "appliance/hostnet", "appliance/netconfig", "appliance/lab/probe", "failover", "forwarder/kernel", "test/netlab", "web", "web/client"},
	"appliance/lab/probe":       {"", "test/netlab"},
	"appliance":                 {"..."},
	"cmd/drawbridge":            {"", "appliance", "appliance/...", "systemd", "web", "web/client", "web/access", "web/setuppage", "mesh/secure", "failover/lease/agent", "failover/lease/warden"},
	"images/...":                {"", "appliance/slot", "appliance/lab/probe", "test/netlab", "web/access"},
	"test/netlab":               {""},
	"test/...":                  {"..."},
}

// onlyIn confines a third-party module, by import-path prefix, to the packages that may name it.
var onlyIn = map[string][]string{
	"github.com/hashicorp/raft":        {"failover/raftgroup"},
	"github.com/hashicorp/raft-boltdb": {"failover/raftgroup"},
	"go.etcd.io/bbolt":                 {"failover/raftgroup"},
	"github.com/hashicorp/go-hclog":    {"failover/raftgroup", "mesh"},
	"github.com/hashicorp/memberlist":  {"mesh", "mesh/meshtest"},
	"github.com/hashicorp/yamux":       {"mesh", "mesh/meshtest"},
	"github.com/gin-gonic/gin":         {"web"},
	"github.com/vishvananda/netlink":   {"appliance/hostnet", "forwarder/kernel", "forwarder/wireguard", "appliance/lab", "appliance/lab/probe", "test/netlab", "test/vm"},
	"golang.zx2c4.com/wireguard":       {"forwarder/wireguard"},
	"github.com/vishvananda/netns":     {"appliance/hostnet", "appliance/lab", "appliance/lab/probe", "test/netlab"},
	"github.com/cilium/ebpf":           {"failover/gate", "forwarder/kernel", "appliance/lab", "test/netlab"},
	"github.com/coreos/go-systemd":     {"systemd"},
	"github.com/google/gopacket":       {"forwarder/capture", "ipam/arp", "ipam/dhcp", "failover/announce", "failover/alone", "test/...", "web", "appliance/lab/probe"},
	"github.com/pelletier/go-toml":     {"appliance/config", "appliance/keypath", "appliance/lab", "appliance/netconfig"},
	"github.com/spf13/cobra":           {"cmd/drawbridge", "appliance/lab"},
	"github.com/coreos/go-oidc":        {"web/access"},
	"golang.org/x/oauth2":              {"web/access"},
	"github.com/prometheus":            {"web"},
	"github.com/danielgtaylor/huma/v2": {"web"},
	"github.com/insomniacslk/dhcp":     {"ipam/dhcp"},
	"github.com/miekg/dns":             {"ipam/dns"},
	"filippo.io/age":                   {"appliance/backup"},
}

// file is what the layout tests look at in one Go file.
type file struct {
	pkg, path string // folder and file, relative to the module
	syntax    *ast.File
}

func sources(t *testing.T) (files []file) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "build" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := filepath.Dir(path)
		if pkg == "." {
			pkg = ""
		}
		files = append(files, file{pkg, path, syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// covers reports whether pattern, a package or a tree ("a/...", "..."), includes pkg.
func covers(pattern, pkg string) bool {
	tree, isTree := strings.CutSuffix(pattern, "...")
	return pattern == pkg || isTree && strings.HasPrefix(pkg+"/", tree)
}

// allowed is the table's row for pkg: its own, or the most specific tree's.
func allowed(pkg string) ([]string, bool) {
	if row, ok := mayImport[pkg]; ok {
		return row, true
	}
	best := ""
	for pattern := range mayImport {
		if strings.HasSuffix(pattern, "...") && covers(pattern, pkg) && len(pattern) > len(best) {
			best = pattern
		}
	}
	return mayImport[best], best != ""
}

func TestImportsFollowTheTable(t *testing.T) {
	for _, f := range sources(t) {
		row, ok := allowed(f.pkg)
		if !ok {
			t.Errorf("%s: package %q is not in the import table", f.path, f.pkg)
			continue
		}
		for _, spec := range f.syntax.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			ours, isOurs := strings.CutPrefix(path, module)
			ours = strings.TrimPrefix(ours, "/")
			inTest := strings.HasSuffix(f.path, "_test.go")
			switch {
			case isOurs && ours != f.pkg && !slices.ContainsFunc(row, func(p string) bool { return covers(p, ours) }):
				if !inTest || !strings.HasSuffix(ours, "test") && ours != "test/netlab" {
					t.Errorf("%s imports %q, which the table does not allow", f.path, ours)
				}
			case !isOurs:
				checkConfined(t, f, path)
			}
		}
	}
}

func checkConfined(t *testing.T, f file, path string) {
	t.Helper()
	for prefix, homes := range onlyIn {
		under := path == prefix || strings.HasPrefix(path, prefix+"/")
		if under && !slices.ContainsFunc(homes, func(p string) bool { return covers(p, f.pkg) }) {
			t.Errorf("%s imports %s, which belongs to %v", f.path, path, homes)
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string][]string{}
	for _, f := range sources(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		comments[f.pkg] = append(comments[f.pkg], nil...)
		if f.syntax.Doc != nil {
			comments[f.pkg] = append(comments[f.pkg], f.path)
		}
	}
	for pkg, with := range comments {
		if len(with) != 1 {
			t.Errorf("package %q has %d package comments (%v), want one", pkg, len(with), with)
		}
	}
}

func TestArchitectureNamesEveryPackage(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sources(t) {
		if name := filepath.Base(f.pkg); f.pkg != "" && !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), "`"+f.pkg+"`") {
			t.Errorf("docs/architecture.md does not say what %s owns", f.pkg)
		}
	}
}

func TestNoHomelessPackages(t *testing.T) {
	homeless := []string{"util", "utils", "common", "helpers", "types", "models", "interfaces", "misc"}
	for _, f := range sources(t) {
		if slices.Contains(homeless, filepath.Base(f.pkg)) {
			t.Errorf("%s: %q says nothing about what the package owns", f.path, f.pkg)
		}
	}
}
