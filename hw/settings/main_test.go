package settings

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
)

// What the test's own processes are told. A guardian inherits its run's environment.
const (
	childEnv    = "XSEND_SETTINGS_TEST_CHILD"          // a job
	guardDieEnv = "XSEND_SETTINGS_TEST_GUARDIAN_DIES"  // number of the step at which the guardian kills itself
	guardSkip   = "XSEND_SETTINGS_TEST_GUARDIAN_SKIPS" // a group that the guardian doesn't put back
	guardArg    = "-be-guardian"
)

var kills = flag.Int("settings.kills", 0, "kill so often at random instants besides")

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == guardArg {
		os.Exit(code(guardMain(os.Args[2:])))
	}
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(code(childMain(text)))
	}
	os.Exit(m.Run())
}

func code(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// dieAt makes a step function that kills this process at its nth call; 0 never.
func dieAt(n int, told func(string)) func(string) {
	at := 0
	return func(name string) {
		at++
		if told != nil {
			told(name)
		}
		if at == n {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}
}

func guardMain(args []string) error {
	die, _ := strconv.Atoi(os.Getenv(guardDieEnv))
	do := kernel(system)
	if g := os.Getenv(guardSkip); g != "" {
		do = func(r request) (reply, error) {
			if r.set && string(r.group) == g {
				return reply{}, nil
			}
			return system(r)
		}
	}
	return guard(args, os.Stderr, restorer{do, dieAt(die, nil), restorePatience})
}

// job is what a child does.
type job struct {
	Interface string
	State     string
	Change    Change
	Snapshot  bool // print one, and do nothing else
	Recover   bool // be "xsend restore", and do nothing else
	Guardian  bool // have one
	Die       int  // kill itself at this step
	Orphan    bool // kill the guardian just before
	Steps     bool // print their names
	Hold      bool // print a line when everything is set, and wait for the end of standard input
}

func childMain(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	if j.Snapshot {
		return j.print()
	}
	if j.Recover {
		done, err := Recover(context.Background(), j.State, j.Interface)
		for _, d := range done {
			fmt.Println(d.Restored)
			err = errors.Join(err, d.Err)
		}
		return err
	}
	var told func(string)
	cfg := Config{Interface: j.Interface, Change: j.Change, StateDir: j.State}
	if j.Guardian {
		cfg.Guardian = []string{"/proc/self/exe", guardArg}
	}
	if j.Steps {
		told = func(name string) { fmt.Println(name) }
	}
	step := dieAt(j.Die, told)
	at := 0
	cfg.step = func(name string) {
		if at++; at == j.Die && j.Orphan {
			killChildren()
		}
		step(name)
	}
	r, err := Begin(context.Background(), cfg)
	if err != nil {
		return err
	}
	if j.Hold {
		fmt.Println("set")
		_, _ = os.Stdin.Read(make([]byte, 1))
	}
	out, err := r.Restore()
	fmt.Println("restored:", out)
	return err
}

func (j job) print() error {
	link, err := hw.Lookup(j.Interface)
	if err != nil {
		return err
	}
	s, err := kernel(system).snapshot(link.Name, link.Index)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(s)
}

// killChildren kills the guardian, the only child that there is.
func killChildren() {
	for _, pid := range childrenOf(os.Getpid()) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

func childrenOf(pid int) (list []int) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, at := range threads {
		b, _ := os.ReadFile(at)
		for text := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(text); err == nil {
				list = append(list, pid)
			}
		}
	}
	return list
}
