package probe

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// names are what readers of the JSON rely on: a change here changes Schema.
const names = `abilities claims interface kernel quirks restored schema version
abilities.busy_poll abilities.busy_poll_budget abilities.copy_bind abilities.default_memory abilities.generic_attach abilities.huge_pages
abilities.link_reset abilities.native_attach abilities.need_wakeup abilities.prefer_busy_poll abilities.sg_bind abilities.sg_zero_copy_bind
abilities.tx_budget abilities.tx_checksum_copy abilities.tx_checksum_zero_copy abilities.tx_metadata abilities.tx_software_checksum
abilities.zero_copy_bind
quirks.bad_metadata_wedges quirks.deferred_close quirks.invalid_descriptor_completed quirks.lost_frame_completed quirks.max_fragments
quirks.metadata_checksum quirks.software_checksum quirks.tx_budget_default quirks.tx_budget_raised
claims.ethtool_features claims.unknown claims.xdp_features claims.xdp_rx_metadata_features claims.xdp_zc_max_segs claims.xsk_features
claims.ethtool_features.active claims.ethtool_features.changeable claims.ethtool_features.means claims.ethtool_features.name
claims.ethtool_features.requested
interface.bus interface.carrier interface.channels interface.driver interface.driver_version interface.duplex interface.firmware
interface.ifindex interface.kind interface.mac interface.mtu interface.name interface.numa_node interface.queue_source interface.rings
interface.rx_queues interface.speed_mbits interface.tx_queues interface.unusable interface.up interface.xdp_mode interface.xdp_program
interface.channels.combined interface.channels.max_combined interface.channels.max_rx interface.channels.max_tx interface.channels.rx
interface.channels.tx interface.rings.max_rx interface.rings.max_tx interface.rings.rx interface.rings.tx
restored.differences restored.exact restored.settings`

// findingNames are those of each ability and quirk.
const findingNames = "claimed claimed_by errno found how means reason remedy unit value"

// whole is a report with everything in it.
func whole() *Report {
	r := &Report{Schema: Schema, Claims: Claims{Ethtool: []Feature{{}}}}
	for _, a := range abilities {
		r.Abilities = append(r.Abilities, findingOf(a))
	}
	for _, q := range quirks {
		r.Quirks = append(r.Quirks, findingOf(q))
	}
	return r
}

// paths lists the names in a JSON value, those of an array's objects as if they were the array's.
func paths(at string, v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			path := strings.TrimPrefix(at+"."+name, ".")
			into[path] = true
			paths(path, value, into)
		}
	case []any:
		for _, value := range v {
			paths(at, value, into)
		}
	}
}

func TestNamesArePinned(t *testing.T) {
	text, err := json.Marshal(whole())
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	got, want := map[string]bool{}, map[string]bool{}
	paths("", v, got)
	for _, name := range strings.Fields(names) {
		want[name] = true
		if strings.HasPrefix(name, "abilities.") || strings.HasPrefix(name, "quirks.") {
			for f := range strings.FieldsSeq(findingNames) {
				want[name+"."+f] = true
			}
		}
	}
	if !maps.Equal(got, want) {
		for name := range got {
			if !want[name] {
				t.Errorf("new: %s", name)
			}
		}
		for name := range want {
			if !got[name] {
				t.Errorf("gone: %s", name)
			}
		}
	}
}

// TestNamesAreDocumented: each in docs/json.md.
func TestNamesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## `xsend probe --json`")
	if section == "" {
		t.Fatal("docs/json.md has no section about it")
	}
	for name := range strings.FieldsSeq(names + " " + findingNames) {
		word := name[strings.LastIndexByte(name, '.')+1:]
		if !strings.Contains(section, "`"+word+"`") && !strings.Contains(section, "`"+word+"[]`") {
			t.Errorf("%s is not in docs/json.md", name)
		}
	}
}

// TestFindingsKeepTheirOrder: an object in the order of the table.
func TestFindingsKeepTheirOrder(t *testing.T) {
	text, err := json.Marshal(whole().Abilities)
	if err != nil {
		t.Fatal(err)
	}
	at := -1
	for _, a := range abilities {
		next := strings.Index(string(text), `"`+a.name+`":{`)
		if next <= at {
			t.Errorf("%s is out of order", a.name)
		}
		at = next
	}
	if empty, err := json.Marshal(Findings{}); err != nil || string(empty) != "{}" {
		t.Errorf("none: %s, %v", empty, err)
	}
}

// TestEveryRowIsComplete: a name once, a try for each quirk, and words for --why.
func TestEveryRowIsComplete(t *testing.T) {
	var seen []string
	for _, a := range slices.Concat(abilities, quirks) {
		if a.name == "" || a.label == "" || a.how == "" || a.means == "" || slices.Contains(seen, a.name) {
			t.Errorf("%+v", a)
		}
		seen = append(seen, a.name)
	}
	if len(quirkTries) != len(quirks) {
		t.Errorf("%d tries for %d quirks", len(quirkTries), len(quirks))
	}
	for _, q := range quirks {
		if quirkTries[q.name] == nil {
			t.Errorf("nothing tries %s", q.name)
		}
	}
	for _, name := range bindNames {
		if whole().Abilities.Named(name) == nil {
			t.Errorf("no ability %s", name)
		}
	}
}
