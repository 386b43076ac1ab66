package hw

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestMissingFrom(t *testing.T) {
	bit := func(cs ...capability) (set uint64) {
		for _, c := range cs {
			set |= 1 << c.bit
		}
		return set
	}
	all := []string{"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "CAP_IPC_LOCK"}
	for _, c := range []struct {
		name               string
		effective          uint64
		lockLimit, umemLen uint64
		want               []string
	}{
		{"nothing held, little memory", 0, 8 << 20, 8 << 20, all[:3]},
		{"nothing held, much memory", 0, 8 << 20, 8<<20 + 1, all},
		{"all held", bit(capNetAdmin, capNetRaw, capBPF, capIPCLock), 0, 1, nil},
		{"all but the lock", bit(capNetAdmin, capNetRaw, capBPF), 0, 1, all[3:]},
		{"CAP_SYS_ADMIN for CAP_BPF", bit(capNetAdmin, capNetRaw) | 1<<capBPF.or, 1, 1, nil},
		{"CAP_SYS_ADMIN alone", 1 << capBPF.or, 1, 1, all[:2]},
	} {
		if got := missingFrom(c.effective, c.lockLimit, c.umemLen); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

const privilegeChild = "HW_TEST_PRIVILEGES"

// TestSetcapLine runs this test binary as nobody, before and after the line.
func TestSetcapLine(t *testing.T) {
	if os.Getenv(privilegeChild) != "" {
		io.WriteString(os.Stdout, "missing:"+strings.Join(MissingCapabilities(1<<40), ",")+"\n")
		return
	}
	needRoot(t)
	if _, err := exec.LookPath("setcap"); err != nil {
		t.Skip("needs setcap: package libcap2-bin")
	}
	binary := copyOfMyself(t)
	if got := missingAsNobody(t, binary); got != "missing:CAP_NET_ADMIN,CAP_NET_RAW,CAP_BPF,CAP_IPC_LOCK" {
		t.Fatalf("before: %q", got)
	}
	line := strings.TrimPrefix(SetcapLine(binary), "sudo ")
	if out, err := exec.Command("sh", "-c", line).CombinedOutput(); err != nil {
		t.Skipf("needs a file system with capabilities: %s: %v %s", line, err, out)
	}
	if got := missingAsNobody(t, binary); got != "missing:" {
		t.Errorf("after %q: %q", line, got)
	}
}

// copyOfMyself copies the test binary to where everybody may execute it, under a name that a shell would
// take apart.
func copyOfMyself(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hw-setcap")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "it's a copy")
	if err := errorOf(os.Chmod(dir, 0o755), os.WriteFile(binary, self, 0o755)); err != nil {
		t.Fatal(err)
	}
	return binary
}

func errorOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func missingAsNobody(t *testing.T, binary string) string {
	t.Helper()
	cmd := exec.Command(binary, "-test.run", "^TestSetcapLine$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), privilegeChild+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	first, _, _ := bytes.Cut(out, []byte("\n"))
	return string(first)
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/bin/xsend": "/usr/bin/xsend", "./x send": "'./x send'", "it's": `'it'\''s'`, "": "''", "$(x)": "'$(x)'",
	} {
		if got := shellQuote(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
