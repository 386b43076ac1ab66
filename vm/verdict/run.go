package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xsend/xsend/vm/capture"
)

// run is one transfer of a scenario with everything that is known about it.
type run struct {
	name   string
	port   uint16
	vlan   uint16 // that the sender's frames have to be in; 0: none
	expect string // one of the expectations in judge.go
	want   string // SHA-256 of the file, hexadecimal
	send   report
	sink   report
	wire   *capture.Capture
}

// asks reports that the run is in copy mode and leaves its checksums to others.
func (r run) asks() bool { return r.expect == byNIC || r.expect == byKernel }

// report is one program's JSON object.
type report map[string]any

// number returns the value at a path like "frames.leaked". A missing value is an error: a check
// that reads zero from a name that no longer exists would pass for ever.
func (r report) number(path string) (int64, error) {
	value, err := r.value(path)
	if err != nil {
		return 0, err
	}
	number, ok := value.(float64)
	if !ok {
		return 0, fmt.Errorf("%s is %v and not a number", path, value)
	}
	return int64(number), nil
}

func (r report) text(path string) (string, error) {
	value, err := r.value(path)
	if err != nil {
		return "", err
	}
	text, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%s is %v and not a string", path, value)
	}
	return text, nil
}

// knob is the entry of offload with that name.
func (r report) knob(name string) (report, error) {
	all, _ := r["offload"].([]any)
	for _, entry := range all {
		if object, _ := entry.(map[string]any); object["name"] == name {
			return object, nil
		}
	}
	return nil, fmt.Errorf("the report has no offload named %s", name)
}

func (r report) value(path string) (any, error) {
	var at any = map[string]any(r)
	for _, name := range strings.Split(path, ".") {
		object, _ := at.(map[string]any)
		value, ok := object[name]
		if !ok {
			return nil, fmt.Errorf("the report has no %s", path)
		}
		at = value
	}
	return at, nil
}

// String is the run in one line, for people.
func (r run) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s port %d, %s:", r.name, r.port, r.expect)
	for _, f := range r.wire.Flows {
		fmt.Fprintf(&b, " %d bytes in %d segments, %d resent (%d bytes), %d with different bytes, %d bad checksums, %d probes;",
			f.Length(), f.Segments, f.Resent, f.Retransmitted, len(f.Differing), f.BadChecksums, f.Probes)
	}
	if knob, err := r.send.knob("checksum"); err == nil && r.asks() {
		fmt.Fprintf(&b, " checksums by %v: %v", knob["where"], knob["evidence"])
	}
	if n, err := r.send.number("rewritten_in_flight"); err == nil {
		fmt.Fprintf(&b, " rewritten_in_flight %d", n)
	}
	return b.String()
}

// load reads all runs of a folder.
func load(dir string) ([]run, error) {
	list, err := os.Open(filepath.Join(dir, "runs"))
	if err != nil {
		return nil, err
	}
	defer list.Close()
	var runs []run
	for lines := bufio.NewScanner(list); lines.Scan(); {
		var r run
		if _, err := fmt.Sscan(lines.Text(), &r.name, &r.port, &r.vlan, &r.expect); err != nil {
			return nil, fmt.Errorf("read runs: line %q: %w", lines.Text(), err)
		}
		if !slices.Contains(expectations, r.expect) {
			return nil, fmt.Errorf("read runs: line %q: expected one of %v", lines.Text(), expectations)
		}
		if err := r.load(dir); err != nil {
			return nil, fmt.Errorf("run %s: %w", r.name, err)
		}
		runs = append(runs, r)
	}
	if len(runs) == 0 {
		return nil, errors.New("read runs: the scenario named none")
	}
	return runs, nil
}

func (r *run) load(dir string) error {
	sum, err := os.ReadFile(filepath.Join(dir, r.name+".sha256"))
	if err != nil {
		return err
	}
	r.want = strings.TrimSpace(string(sum))
	if r.send, err = readReport(filepath.Join(dir, r.name+".send.json")); err != nil {
		return err
	}
	if r.sink, err = readReport(filepath.Join(dir, r.name+".sink.json")); err != nil {
		return err
	}
	file, err := os.Open(filepath.Join(dir, "wire.pcap"))
	if err != nil {
		return err
	}
	defer file.Close()
	r.wire, err = capture.Read(bufio.NewReaderSize(file, 1<<20), r.port)
	return err
}

func readReport(path string) (report, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the guest left no %s", filepath.Base(path))
	}
	if err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return r, nil
}
