package settings

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/steady"
)

// at calls f with n bytes and more of the stack in use.
//
//go:noinline
func at(n int, f func()) {
	var frame [64]byte
	if n > len(frame) {
		at(n-len(frame), f)
	} else {
		f()
	}
	runtime.KeepAlive(&frame)
}

// onFreshStack runs f on a small stack of which n bytes are in use.
func onFreshStack(n int, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		at(n, f)
	}()
	<-done
}

// The library's variables stay where the kernel was told that they are, wherever the stack ends. The control is the library alone; whether it
// fails depends on the compiler's frames, so that is told only.
func TestSteadyStack(t *testing.T) {
	r := newRig(t)
	wrong := 0
	for n := 0; n < 16<<10; n += 64 {
		if err := r.lab.Do(lab.Sender, func() error {
			var alone ethtool.Channels
			var got reply
			var err error
			e, oerr := ethtool.NewEthtool()
			if oerr != nil {
				return oerr
			}
			defer e.Close()
			// The socket stays in the namespace that it was opened in.
			onFreshStack(n, func() { alone, _ = e.GetChannels(veth) })
			if alone.RxCount != 4 {
				wrong++
			}
			onFreshStack(n, func() {
				steady.Call(func() { got, err = ask(e, request{group: Channels, name: veth}) })
			})
			if err == nil && got.values["rx"] != "4" {
				err = errors.New("rx=" + got.values["rx"] + " at a depth of " + strconv.Itoa(n))
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	t.Logf("the library alone was wrong at %d of 256 depths", wrong)
}

// The stack must not be moved under the library by the collector either. The control is a stack without ballast.
func TestSteadyStackIsLeftAlone(t *testing.T) {
	moved := func() bool {
		var here int
		before := uintptrOf(&here)
		for range 10 {
			runtime.GC()
		}
		at(96<<10, func() {})
		return uintptrOf(&here) != before
	}
	onFreshStack(0, func() {
		steady.Call(func() {
			if moved() {
				t.Error("the stack was moved")
			}
		})
	})
	onFreshStack(0, func() {
		if !moved() {
			t.Error("the control: a small stack has room for everything")
		}
	})
}

// The machine that the test runs on is only asked: what its default routes leave by is what it is reached by, and the loopback isn't.
func TestCarriesOfThisMachine(t *testing.T) {
	if _, initial, err := namespace(); err != nil || !initial {
		t.Skip("needs the initial network namespace")
	}
	t.Setenv("SSH_CONNECTION", "")
	by, err := defaultRoute(unix.AF_INET)
	if err != nil || len(by) == 0 {
		t.Skipf("needs a default route: %v", err)
	}
	for _, index := range by {
		if why, err := carries(index); index != 0 && (err != nil || !strings.Contains(why, "default route")) {
			t.Errorf("interface %d: %q, %v", index, why, err)
		}
	}
	if why, err := carries(1); why != "" || err != nil {
		t.Errorf("the loopback: %q, %v", why, err)
	}
}

func TestCarries(t *testing.T) {
	r := newRig(t)
	ask := func(ssh string) (why string) {
		t.Helper()
		t.Setenv("SSH_CONNECTION", ssh)
		if err := r.lab.Do(lab.Sender, func() error {
			link, err := hw.Lookup(veth)
			if err != nil {
				return err
			}
			why, err = carries(link.Index)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return why
	}
	here, there := r.lab.Sender().IPv4.Addr().String(), r.lab.Receiver().IPv4.Addr().String()
	here6, there6 := r.lab.Sender().IPv6.Addr().String(), r.lab.Receiver().IPv6.Addr().String()
	for ssh, want := range map[string]bool{
		there + " 50000 " + here + " 22": true, there6 + " 50000 " + here6 + " 22": true, "192.0.2.1 50000 " + here + " 22": true,
		"": false, "nonsense": false, "a b c d": false, "192.0.2.1 50000 192.0.2.2 22": false, "127.0.0.1 50000 127.0.0.1 22": false,
	} {
		if why := ask(ssh); (why != "") != want {
			t.Errorf("SSH_CONNECTION=%q: %q", ssh, why)
		}
	}
}

// The default route counts where it leaves by the interface or by what stands on it: here a VLAN.
func TestDefaultRoute(t *testing.T) {
	r := newRig(t)
	if err := r.lab.Do(lab.Sender, func() error {
		lower, err := netlink.LinkByName(veth)
		if err != nil {
			return err
		}
		index := lower.Attrs().Index
		if by, err := defaultRoute(unix.AF_INET); err != nil || len(by) > 0 {
			t.Errorf("without one: %v, %v", by, err)
		}
		gateway := net.ParseIP(r.lab.Receiver().IPv4.Addr().String())
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Gw: gateway}); err != nil {
			return err
		}
		by, err := defaultRoute(unix.AF_INET)
		if on, oerr := anyOn(by, index); err != nil || oerr != nil || !on {
			t.Errorf("%v, %v, %v", by, err, oerr)
		}
		if on, err := anyOn(by, 1); on || err != nil {
			t.Errorf("the loopback carries it: %v", err)
		}
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			t.Logf("no bridge in this kernel: %v", err)
			return nil
		}
		if err := netlink.LinkSetMaster(lower, bridge); err != nil {
			return err
		}
		if on, err := anyOn([]int{bridge.Index}, index); !on || err != nil {
			t.Errorf("a bridge over it: %v, %v", on, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// /sys is believed only where it shows this namespace.
func TestNAPI(t *testing.T) {
	r := newRig(t)
	if err := r.lab.Do(lab.Sender, func() error {
		link, err := hw.Lookup(veth)
		if err != nil {
			return err
		}
		q := request{group: NAPI, name: veth, index: link.Index}
		if _, err := napi("/sys/class/net", q); !errors.Is(err, errOtherSys) {
			t.Errorf("the host's /sys: %v", err)
		}
		root := sysfs(t)
		got, err := napi(root, q)
		if err != nil || len(got.values) != 3 || got.values["threaded"] != "0" {
			t.Errorf("%v, %v", got, err)
		}
		q.set, q.values = true, Values{"gro_flush_timeout": "20000", "napi_defer_hard_irqs": "2"}
		if _, err := napi(root, q); err != nil {
			t.Error(err)
		}
		b, _ := os.ReadFile(filepath.Join(root, veth, "gro_flush_timeout"))
		if strings.TrimSpace(string(b)) != "20000" {
			t.Errorf("gro_flush_timeout is %s", b)
		}
		if err := os.WriteFile(filepath.Join(root, veth, "ifindex"), []byte("9999"), 0o600); err != nil {
			return err
		}
		if _, err := napi(root, q); !errors.Is(err, errOtherSys) {
			t.Errorf("another interface of that name: %v", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// sysfs is what /sys/class/net would show of the thread's namespace.
func sysfs(t *testing.T) string {
	t.Helper()
	list, err := links()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, l := range list {
		dir := filepath.Join(root, l.Attrs().Name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"ifindex": strconv.Itoa(l.Attrs().Index), "address": l.Attrs().HardwareAddr.String(),
			"gro_flush_timeout": "0", "napi_defer_hard_irqs": "0", "threaded": "0",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// Table and key of receive-side scaling go there and back through the kernel's struct, and what doesn't fit is refused.
func TestRSSLayout(t *testing.T) {
	const entries, key = 4, 3
	buf := make([]byte, rxfhHead+4*entries+key)
	buf[rxfhHash] = 1
	for i := range entries {
		binary.NativeEndian.PutUint32(buf[rxfhHead+4*i:], uint32(i%2))
	}
	copy(buf[rxfhHead+4*entries:], []byte{0xde, 0xad, 0x01})
	v := rxfhValues(buf, entries)
	if v.String() != "hash=1,key=dead01,table=0 1 0 1" {
		t.Error(v)
	}
	other := make([]byte, len(buf))
	if err := patchRxfh(other, entries, v); err != nil || string(other) != string(buf) {
		t.Errorf("%x, want %x, %v", other, buf, err)
	}
	for _, bad := range []Values{{"table": "0 1"}, {"table": "0 1 2 x"}, {"key": "00"}, {"key": "xyz"}, {"hash": "256"}} {
		if err := patchRxfh(other, entries, bad); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// A table as the kernel would make it is left to the kernel; the key stays behind the head.
func TestDefaultTable(t *testing.T) {
	if got := defaultTable(5, 2); got != "0 1 0 1 0" || defaultTable(5, 0) != "" {
		t.Errorf("%q", got)
	}
	const entries = 2
	buf := make([]byte, rxfhHead+4*entries, 64)
	binary.NativeEndian.PutUint32(buf[rxfhEntries:], entries)
	buf = resetTable(append(buf, 0xde, 0xad), entries)
	if len(buf) != rxfhHead+2 || buf[rxfhHead] != 0xde || binary.NativeEndian.Uint32(buf[rxfhEntries:]) != 0 {
		t.Errorf("%x", buf)
	}
}

// What isn't to change isn't in the order.
func TestRSSOrder(t *testing.T) {
	const entries, key = 2, 3
	buf := make([]byte, rxfhHead+4*entries+key)
	binary.NativeEndian.PutUint32(buf[rxfhEntries:], entries)
	binary.NativeEndian.PutUint32(buf[rxfhKey:], key)
	buf[rxfhHash] = 1
	copy(buf[rxfhHead+4*entries:], []byte{0xde, 0xad, 0x01})
	for _, row := range []struct {
		v                 Values
		entries, key, len int
		hash              byte
	}{
		{Values{"table": "0 1"}, entries, 0, rxfhHead + 4*entries, 0},
		{Values{"key": "dead01"}, noTable, key, rxfhHead + key, 0},
		{Values{"hash": "1"}, noTable, 0, rxfhHead, 1},
		{Values{"table": "0 1", "key": "dead01", "hash": "1"}, entries, key, len(buf), 1},
	} {
		got := onlyAsked(buf, entries, row.v)
		word := func(at int) int { return int(binary.NativeEndian.Uint32(got[at:])) }
		if word(rxfhEntries) != row.entries || word(rxfhKey) != row.key || len(got) != row.len || got[rxfhHash] != row.hash {
			t.Errorf("%v: %x", row.v, got)
		}
		if row.key != 0 && string(got[len(got)-key:]) != "\xde\xad\x01" {
			t.Errorf("%v: the key isn't at the end of %x", row.v, got)
		}
	}
}

// An interface that is deleted in mid-run takes its settings along: that is no error, and nothing is left.
func TestInterfaceDeletedInMidRun(t *testing.T) {
	r := newRig(t)
	if err := r.lab.Do(lab.Sender, func() error {
		run, err := Begin(t.Context(), Config{Interface: veth, Change: change(t, thrice...), StateDir: r.state})
		if err != nil {
			return err
		}
		l, err := netlink.LinkByName(veth)
		if err != nil {
			return err
		}
		if err := netlink.LinkDel(l); err != nil {
			return err
		}
		out, err := run.Restore()
		if err != nil || !out.Gone || out.Exact {
			t.Errorf("%v, %v", out, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if left := r.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// An interface that is renamed in mid-run is put back under its new name.
func TestInterfaceRenamedInMidRun(t *testing.T) {
	r := newRig(t)
	if err := r.lab.Do(lab.Sender, func() error {
		run, err := Begin(t.Context(), Config{Interface: veth, Change: change(t, thrice...), StateDir: r.state})
		if err != nil {
			return err
		}
		l, err := netlink.LinkByName(veth)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetName(l, "other"); err != nil {
			return err
		}
		out, err := run.Restore()
		if err != nil || !out.Exact {
			t.Errorf("%v, %v", out, err)
		}
		if link, err := hw.Lookup("other"); err != nil || link.MTU != 1500 {
			t.Errorf("%+v, %v", link, err)
		}
		l, err = netlink.LinkByName("other")
		if err != nil {
			return err
		}
		return netlink.LinkSetName(l, veth)
	}); err != nil {
		t.Fatal(err)
	}
}

// VLAN devices on a NIC lose their MTU with it and don't get it back by themselves.
func TestVLANsMTU(t *testing.T) {
	r := newRig(t)
	if err := r.lab.Do(lab.Sender, func() error {
		l, err := netlink.LinkByName(veth)
		if err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex = "vlan7", l.Attrs().Index
		if err := netlink.LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: 7}); err != nil {
			t.Skipf("needs 802.1Q in the kernel: %v", err)
		}
		run, err := Begin(t.Context(), Config{Interface: veth, Change: change(t, "mtu", "1400"), StateDir: r.state})
		if err != nil {
			return err
		}
		if out, err := run.Restore(); err != nil || !out.Exact {
			t.Errorf("%v, %v", out, err)
		}
		link, err := hw.Lookup("vlan7")
		if err == nil && link.MTU != 1500 {
			t.Errorf("the VLAN's MTU is %d", link.MTU)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// What comes back from disk or kernel as table and key is refused or fits.
func FuzzRSS(f *testing.F) {
	f.Add("0 1 0 1", "dead01", "1", 4, 3)
	f.Fuzz(func(t *testing.T, table, key, hash string, entries, length int) {
		if entries < 0 || entries > 1024 || length < 0 || length > 1024 {
			return
		}
		buf := make([]byte, rxfhHead+4*entries+length)
		v := Values{"table": table, "key": key, "hash": hash}
		if patchRxfh(buf, entries, v) == nil && len(rxfhValues(buf, entries)) > len(v) {
			t.Errorf("%v became %v", v, rxfhValues(buf, entries))
		}
	})
}

// A namespace that is gone leaves its number to the next one, and each has a veth of the same name and index. What a run in the first has left is
// nothing to the second.
func TestNamespaceNumberAgain(t *testing.T) {
	r := newRig(t)
	var id Identity
	if err := r.lab.Do(lab.Sender, func() (err error) {
		link, err := hw.Lookup(veth)
		if err != nil {
			return err
		}
		id, err = identify(link)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if id.Cookie == 0 || !id.same(id) {
		t.Errorf("%+v", id)
	}
	var other Identity
	if err := newRig(t).lab.Do(lab.Sender, func() (err error) {
		link, err := hw.Lookup(veth)
		if err != nil {
			return err
		}
		other, err = identify(link)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	other.Namespace, other.Index = id.Namespace, id.Index
	if id.same(other) {
		t.Errorf("%+v is taken for %+v", other, id)
	}
}
