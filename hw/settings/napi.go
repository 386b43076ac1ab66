package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// napiFiles are those of /sys/class/net/NAME that say when NAPI polls.
var napiFiles = []string{"gro_flush_timeout", "napi_defer_hard_irqs", "threaded"}

var errOtherSys = errors.New("/sys shows another network namespace")

// napi reads and writes below root, which shows the namespace of its mount: it is believed only where it describes
// the same interface.
func napi(root string, r request) (reply, error) {
	dir := filepath.Join(root, r.name)
	index, err := readTrimmed(filepath.Join(dir, "ifindex"))
	if err != nil || index != strconv.Itoa(r.index) || !sameNamespace(root) {
		return reply{}, errOtherSys
	}
	v := Values{}
	for _, name := range napiFiles {
		at := filepath.Join(dir, name)
		if want, asked := r.values[name]; r.set && asked {
			if err := os.WriteFile(at, []byte(want), 0); err != nil {
				return reply{}, fmt.Errorf("%s: %w", at, err)
			}
		}
		text, err := readTrimmed(at)
		if errors.Is(err, fs.ErrNotExist) {
			continue // older than the kernel that has it
		}
		if err != nil {
			return reply{}, err
		}
		v[name] = text
	}
	return reply{values: v}, nil
}

// sameNamespace compares the names and numbers of all interfaces: veth pairs of many namespaces look alike.
func sameNamespace(root string) bool {
	here, err := links()
	if err != nil {
		return false
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return false
	}
	shown := map[string]string{}
	for _, e := range entries {
		if index, err := readTrimmed(filepath.Join(root, e.Name(), "ifindex")); err == nil {
			mac, _ := readTrimmed(filepath.Join(root, e.Name(), "address"))
			shown[e.Name()] = index + " " + address(mac)
		}
	}
	for _, l := range here {
		a := l.Attrs()
		if got := shown[a.Name]; got != fmt.Sprintf("%d %s", a.Index, address(a.HardwareAddr.String())) {
			return false
		}
	}
	return len(shown) == len(here)
}

// address is "" where all of it is zero, as the loopback's, which rtnetlink's reader leaves out.
func address(mac string) string {
	if strings.Trim(mac, "0:") == "" {
		return ""
	}
	return mac
}

func readTrimmed(path string) (string, error) {
	b, err := os.ReadFile(path)
	return strings.TrimSpace(string(b)), err
}
