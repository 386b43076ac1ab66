package settings

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/xsend/xsend/hw"
)

// Steer asks for a peer's TCP segments to arrive on the first RX queues.
type Steer struct {
	Peer   netip.Addr `json:"peer"`
	Port   uint16     `json:"port,omitempty"` // of the peer; 0 = any
	Queues int        `json:"queues"`         // from 1
}

// Way is how that is done.
type Way string

// The ways, the best first. WayAll changes nothing: there are no other queues.
const (
	WayRule Way = "ntuple" // a rule for the peer
	WayRSS  Way = "rss"    // every entry of the indirection table
	WayAll  Way = "all"
)

// Steered says which way answers take. The zero Steered is that nobody asked; without a way, Evidence is why there is none.
type Steered struct {
	Way      Way
	Evidence string
}

// ntuple is the feature without which a NIC keeps no rules.
const ntuple = "rx-ntuple-filter"

// way is one that can be tried: what it changes, in order.
type way struct {
	Steered
	orders []request
	group  Group
	wanted string // the rule, or the table
}

// ways lists how the peer's segments can be brought to the queues, the best first, and why other ways can't be.
func (s Steer) ways(link hw.Interface, now Snapshot) (list []way, cant []string) {
	if n := rxQueues(link, now); s.Queues >= n {
		return []way{{Steered: Steered{WayAll, fmt.Sprintf("%s has %d RX queues, and all are bound", link.Name, n)}}}, nil
	}
	for _, find := range []func(hw.Interface, Snapshot) (way, string){s.byRule, s.byTable} {
		w, why := find(link, now)
		if why != "" {
			cant = append(cant, why)
			continue
		}
		list = append(list, w)
		if len(w.orders) == 0 { // it is there: no other one will be needed
			break
		}
	}
	return list, cant
}

// rxQueues are the interface's as its channels are now; not all drivers tell of channels.
func rxQueues(link hw.Interface, now Snapshot) int {
	rx, _ := strconv.Atoi(now.Values[Channels]["rx"])
	combined, _ := strconv.Atoi(now.Values[Channels]["combined"])
	if rx+combined > 0 {
		return rx + combined
	}
	return link.RxQueues
}

// byRule needs the feature, a rule that names one queue, and a location for it. Rules that can't be read could not be put back.
func (s Steer) byRule(link hw.Interface, now Snapshot) (w way, cant string) {
	state, known := now.Values[Feature][ntuple]
	switch {
	case s.Queues > 1:
		return w, fmt.Sprintf("ntuple: a rule names one queue, not %d", s.Queues)
	case !known || isFixed(state) && active(state) == off:
		return w, fmt.Sprintf("ntuple: %s is %s", ntuple, now.Values[Feature].or(ntuple, "not there"))
	case now.Unreadable[Rule] != "":
		return w, "ntuple: rules can't be read: " + now.Unreadable[Rule]
	}
	w = way{Steered: Steered{Way: WayRule}, group: Rule, wanted: flow(s.Peer, s.Port, 0)}
	if w.place(now.Values[Rule]) != "" && active(state) == on { // somebody had the same wish
		return w, ""
	}
	at, cant := freePlace(now)
	if cant != "" {
		return w, cant
	}
	order := request{set: true, name: link.Name, index: link.Index}
	if active(state) != on {
		order.group, order.values = Feature, Values{ntuple: on}
		w.orders = append(w.orders, order)
	}
	order.group, order.values = Rule, Values{at: w.wanted}
	w.orders = append(w.orders, order)
	return w, ""
}

// place is where rules have the wanted one, "" if nowhere.
func (w *way) place(rules Values) string {
	for _, at := range rules.keys() {
		if sameFlow(w.wanted, rules[at]) {
			return at
		}
	}
	return ""
}

// freePlace is where a rule can go: where the driver likes, or the last location that is free, as rules in front of it go first.
func freePlace(now Snapshot) (at, cant string) {
	most := now.most[Rule]
	if most[ofDriver] == on {
		return ofDriver, ""
	}
	places, _ := strconv.Atoi(most[""])
	for i := min(places, mostRules) - 1; i >= 0; i-- {
		if _, taken := now.Values[Rule][strconv.Itoa(i)]; !taken {
			return strconv.Itoa(i), ""
		}
	}
	return "", fmt.Sprintf("ntuple: none of %d locations for rules is free", places)
}

// byTable has the queues in turn in the indirection table.
func (s Steer) byTable(link hw.Interface, now Snapshot) (w way, cant string) {
	table := strings.Fields(now.Values[RSS]["table"])
	switch {
	case now.Unreadable[RSS] != "":
		return w, "rss: the indirection table can't be read: " + now.Unreadable[RSS]
	case len(table) == 0:
		return w, "rss: there is no indirection table"
	}
	for i := range table {
		table[i] = strconv.Itoa(i % s.Queues)
	}
	w = way{Steered: Steered{Way: WayRSS}, group: RSS, wanted: strings.Join(table, " ")}
	if now.Values[RSS]["table"] != w.wanted {
		w.orders = []request{{set: true, group: RSS, name: link.Name, index: link.Index, values: Values{"table": w.wanted}}}
	}
	return w, ""
}

// ordersOf are those of all ways.
func ordersOf(list []way) (orders []request) {
	for _, w := range list {
		orders = append(orders, w.orders...)
	}
	return orders
}

// refused says that there is no way left.
func (s Steer) refused(link hw.Interface, cant []string) error {
	return fmt.Errorf("%s: steer answers of %v to %s: %w: %s: leave --queues out: all queues are bound", link.Name, s.Peer, s.targets(), ErrRefused, strings.Join(cant, "; "))
}

// targets are the queues in words.
func (s Steer) targets() string {
	if s.Queues == 1 {
		return "queue 0"
	}
	return fmt.Sprintf("queues 0 to %d", s.Queues-1)
}

// rule is the rule in words.
func (s Steer) rule() string {
	if s.Port != 0 {
		return fmt.Sprintf("tcp from %v to %s", netip.AddrPortFrom(s.Peer, s.Port), s.targets())
	}
	return fmt.Sprintf("tcp from %v to %s", s.Peer, s.targets())
}

// steerable looks for ways before anything is changed. Which queues and which table there will be behind a change of channels, nobody knows yet.
func (r *Run) steerable() (list []way, err error) {
	s := r.cfg.Steer
	if s == nil {
		return nil, nil
	}
	if s.Queues < 1 || !s.Peer.IsValid() {
		return nil, fmt.Errorf("%w: steer answers of %v to %d queues", ErrSyntax, s.Peer, s.Queues)
	}
	list, cant := s.ways(r.link, r.snapshot)
	if len(list) == 0 && len(r.cfg.Change[Channels]) == 0 {
		return nil, r.stray(s.refused(r.link, cant))
	}
	if err := r.harmless(ordersOf(list)); err != nil {
		return nil, r.stray(err)
	}
	return list, nil
}

// stray goes on with answers that arrive where they like, if that is allowed.
func (r *Run) stray(why error) error {
	if !r.cfg.Fallback {
		return why
	}
	r.straying = why.Error()
	r.cfg.Warn(r.straying + ": answers are not steered")
	r.steering = []Setting{{Name: "steer", Requested: r.cfg.Steer.targets(), Before: off, Active: off, Refused: r.straying}}
	return nil
}

// steer tries one way after the other, behind everything else that is changed.
func (r *Run) steer() error {
	s := r.cfg.Steer
	if s == nil || r.straying != "" {
		return nil
	}
	now, err := r.cfg.do.snapshot(r.link.Name, r.link.Index)
	if err != nil {
		return err
	}
	list, cant := s.ways(r.link, now)
	if err := r.harmless(ordersOf(list)); err != nil { // channels may have made it another way
		return r.stray(err)
	}
	for _, w := range list {
		refused := r.try(&w)
		if refused == nil {
			r.way = &w
			return nil
		}
		r.undo(w, now)
		cant = append(cant, fmt.Sprintf("%s: %v", w.Way, refused))
	}
	return r.stray(s.refused(r.link, cant))
}

// try takes a way and reads back whether it is there.
func (r *Run) try(w *way) error {
	if w.group == "" {
		r.steering = []Setting{r.steerSetting(w)}
		return nil
	}
	if err := r.apply(w.orders, func(_ request, _ []string, why error) error { return why }); err != nil {
		return err
	}
	now, err := r.cfg.do(request{group: w.group, name: r.link.Name, index: r.link.Index})
	if err != nil {
		return fmt.Errorf("read back: %w", explain(err))
	}
	if w.group == RSS {
		if got := now.values["table"]; got != w.wanted {
			return fmt.Errorf("%w: the driver made the table %s", ErrRefused, short(got))
		}
		r.steering = []Setting{r.steerSetting(w), {Name: Name(RSS, "table"), Requested: w.wanted, Before: r.snapshot.Values[RSS]["table"], Active: w.wanted}}
		w.Evidence = fmt.Sprintf("the indirection table reads back with all of %d entries on %s", len(strings.Fields(w.wanted)), r.cfg.Steer.targets())
		return nil
	}
	at := w.place(now.values)
	if at == "" {
		return fmt.Errorf("%w: the driver took the rule and hasn't got it", ErrRefused)
	}
	text, before := r.cfg.Steer.rule(), absent
	if w.place(r.snapshot.Values[Rule]) == at {
		before = text
	}
	r.steering = []Setting{r.steerSetting(w), {Name: Name(Rule, at), Requested: text, Before: before, Active: text}}
	w.Evidence = fmt.Sprintf("the rule at location %s reads back: %s", at, text)
	return nil
}

// steerSetting is what the report says of a way that was taken.
func (r *Run) steerSetting(w *way) Setting {
	return Setting{Name: "steer", Requested: r.cfg.Steer.targets(), Before: off, Active: string(w.Way)}
}

// undo puts back what a way has changed before it was refused. What that can't, the end of the run tells.
func (r *Run) undo(w way, was Snapshot) {
	for i := len(w.orders) - 1; i >= 0; i-- {
		o := w.orders[i]
		now, err := r.cfg.do(request{group: o.group, name: o.name, index: o.index})
		if err != nil {
			continue
		}
		if o.values = inverse(o.group, was.Values[o.group], now.values); len(o.values) > 0 {
			_, _ = r.cfg.do(o)
		}
	}
}

// Steering is the way that answers take.
func (r *Run) Steering() Steered {
	if r.way == nil {
		return Steered{Evidence: r.straying}
	}
	return r.way.Steered
}

// short is the beginning of a long text.
func short(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
