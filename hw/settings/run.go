package settings

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/xsend/xsend/hw"
)

// Config is what a run changes. Zero means the default given.
type Config struct {
	Interface string // its name; must be set
	Change    Change // may be empty with Steer
	Steer     *Steer // nil: answers arrive where they like
	Force     bool   // do also what could cut the machine off
	// Fallback leaves out what is refused, and says so: Setting.Refused, Steered.Evidence.
	Fallback bool
	// Keep writes the journal and starts the guardian even where nothing is to be set: for what attaching a program or binding a socket may take along.
	Keep bool
	// StateDir is where the journal and the lock are; "" = $XSEND_STATE_DIR, or DefaultStateDir.
	StateDir string
	// Guardian is a command line that calls Guard with what follows it as arguments; empty = none, and what a killed run has
	// changed stays until Recover is called.
	Guardian []string
	// Warn is told, in a sentence, what a person should know and no error says; nil is silence.
	Warn func(string)

	do       kernel       // nil = system
	dangers  *dangers     // nil = machine
	step     func(string) // told before and behind each step; nil = nothing
	patience patience
}

// patience is what tests shorten.
type patience struct{ guardian, restore time.Duration }

// Setting is what became of one that was asked for, or that another one took along.
type Setting struct {
	Name      string `json:"name"`
	Requested string `json:"requested,omitempty"` // empty where nobody asked: another one took it along
	Before    string `json:"before"`
	Active    string `json:"active"`            // as it was read back
	Clamped   bool   `json:"clamped,omitempty"` // the kernel took another value than was requested
	Refused   string `json:"refused,omitempty"` // why it was left out, with Fallback
}

// Run is an interface that is set as a run wants it, until Restore.
type Run struct {
	cfg      Config
	link     hw.Interface
	lock     *lock
	snapshot Snapshot
	journal  *Journal // nil where nothing had to be changed
	guardian *guardian
	wishes   []wish // what was asked for, in order
	settings []Setting
	way      *way      // that answers are steered; nil = they aren't
	steering []Setting // that are there for it
	straying string    // why they aren't steered, with Fallback

	over     bool
	restored Restored
	failed   error
}

// Begin locks the interface, writes down how it is set, starts the guardian and changes what is asked for. Where it returns an error, everything
// is as it was, or the error says what is not: [ErrRefused], [ErrHeld], [ErrLeftOver], [ErrForce], [ErrJournal], hw.ErrNoInterface or that
// of ctx.
func Begin(ctx context.Context, cfg Config) (*Run, error) {
	if err := cfg.Change.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	link, err := hw.Lookup(cfg.Interface)
	if err != nil {
		return nil, err
	}
	id, err := identify(link)
	if err != nil {
		return nil, err
	}
	r := &Run{cfg: cfg, link: link}
	if r.lock, err = acquire(ctx, cfg.StateDir, id, cfg.patience.guardian); err != nil {
		return nil, err
	}
	cfg.step("locked")
	if err := r.begin(id); err != nil {
		if _, left := r.Restore(); left != nil {
			err = fmt.Errorf("%w\n%w", err, left)
		}
		return nil, err
	}
	return r, nil
}

func (c *Config) setDefaults() {
	c.StateDir = stateDir(c.StateDir)
	if c.Warn == nil {
		c.Warn = func(string) {}
	}
	if c.step == nil {
		c.step = func(string) {}
	}
	if c.do == nil {
		c.do = system
	}
	if c.dangers == nil {
		c.dangers = &machine
	}
	if c.patience.guardian == 0 {
		c.patience.guardian = guardianPatience
	}
	if c.patience.restore == 0 {
		c.patience.restore = restorePatience
	}
}

func (r *Run) begin(id Identity) (err error) {
	if r.snapshot, err = r.cfg.do.snapshot(r.link.Name, r.link.Index); err != nil {
		return err
	}
	if err := r.leftOver(id); err != nil {
		return err
	}
	orders, err := r.plan()
	if err != nil {
		return err
	}
	if orders, err = r.allowed(orders); err != nil {
		return err
	}
	ways, err := r.steerable()
	if err != nil {
		return err
	}
	if len(orders)+len(ordersOf(ways)) > 0 || r.cfg.Keep {
		if err := r.guard(id); err != nil {
			return err
		}
	}
	if err := r.apply(orders, r.orderRefused); err != nil {
		return err
	}
	if err := r.steer(); err != nil {
		return err
	}
	return r.readBack()
}

// guard writes the journal and starts the guardian: from here on what is changed will be put back.
func (r *Run) guard(id Identity) (err error) {
	journal := &Journal{Identity: id, Time: time.Now().UTC(), PID: os.Getpid(), Change: r.cfg.Change, Steer: r.cfg.Steer, Snapshot: r.snapshot}
	if err := journal.write(r.cfg.StateDir, r.cfg.step); err != nil {
		return err
	}
	r.journal = journal
	r.cfg.step("journal synced")
	if r.guardian, err = startGuardian(r.cfg.Guardian, journal, r.lock); err != nil {
		return err
	}
	r.cfg.step("guarded")
	return nil
}

// leftOver looks for journals of this interface: where a dead run's changes are still there, they would be taken for the original.
func (r *Run) leftOver(id Identity) error {
	list, bad, err := pending(r.cfg.StateDir)
	if err != nil {
		return err
	}
	for _, b := range bad { // the name says whose it is
		if b.name == id.journalName() {
			return b.err
		}
		r.cfg.Warn(fmt.Sprintf("%v; it isn't of %s, which is set all the same", b.err, r.link.Name))
	}
	for _, j := range list {
		if !j.here(id.Namespace, id.Initial, id.Boot) || j.Interface != id.Interface && !j.same(id) {
			continue
		}
		command := "xsend restore " + j.Interface
		switch {
		case !j.same(id): // another one of that name
			if _, err := j.find(); !errors.Is(err, hw.ErrNoInterface) {
				continue
			}
			if err := j.remove(); err != nil {
				return err
			}
		case len(j.Snapshot.Diff(r.snapshot)) == 0: // killed before its first change, or behind its last
			if err := j.remove(); err != nil {
				return err
			}
		case j.Boot != id.Boot:
			r.cfg.Warn(fmt.Sprintf("%s: a journal of an earlier boot, of %s, has not been restored: %q does so, or remove %s", j.Interface, j.Time.Format(time.DateTime), command, j.path))
		default:
			return fmt.Errorf("%s: %w: process %d changed them on %s: %q restores them", j.Interface, ErrLeftOver, j.PID, j.Time.Format(time.DateTime), command)
		}
	}
	return nil
}

// apply gives orders. What is refused is told to refused, whose error ends it.
func (r *Run) apply(orders []request, refused func(o request, keys []string, why error) error) error {
	for _, o := range orders {
		r.cfg.step("before " + string(o.group))
		if _, err := r.cfg.do(o); err != nil {
			if err := refused(o, o.values.keys(), setError(o, err, r.snapshot.most[o.group])); err != nil {
				return err
			}
			continue
		}
		r.cfg.step("after " + string(o.group))
		if o.group == Feature {
			if err := r.featuresTaken(o, refused); err != nil {
				return err
			}
		}
	}
	return nil
}

// featuresTaken reads back at once: ETHTOOL_SFEATURES succeeds while it refuses.
func (r *Run) featuresTaken(o request, refused func(o request, keys []string, why error) error) error {
	now, err := r.cfg.do(request{group: Feature, name: o.name, index: o.index})
	if err != nil {
		return fmt.Errorf("%s: read features: %w", o.name, explain(err))
	}
	for _, k := range o.values.keys() {
		state := now.values.or(k, absent)
		if active(state) == o.values[k] {
			continue
		}
		remedy := "the driver refuses it: leave it out"
		if wanted(state) == o.values[k] {
			remedy = "it depends on another feature, as segmentation does on scatter-gather and that on a checksum: turn that on, too, with \"ethtool -K\" or --set of \"xsend send\""
		}
		if err := refused(o, []string{k}, fmt.Errorf("%s: set %s=%s: %w: the kernel keeps it %s: %s", o.name, k, o.values[k], ErrRefused, state, remedy)); err != nil {
			return err
		}
	}
	return nil
}

// readBack finds out how everything is set now, also what nobody asked for: a later change may have undone an earlier one.
func (r *Run) readBack() error {
	now, err := r.cfg.do.snapshot(r.link.Name, r.link.Index)
	if err != nil {
		return err
	}
	r.settings = nil
	asked := map[string]bool{}
	for i := range r.wishes {
		s, err := r.granted(&r.wishes[i], now)
		if err != nil {
			return err
		}
		asked[s.Name] = true
		r.settings = append(r.settings, s)
	}
	for _, of := range r.steering {
		asked[of.Name] = true
		r.settings = append(r.settings, of)
	}
	for _, d := range r.snapshot.Diff(now) {
		if !asked[d.Name] {
			r.settings = append(r.settings, Setting{Name: d.Name, Before: d.Was, Active: d.Is})
		}
	}
	r.tell()
	return nil
}

// granted is what became of a wish.
func (r *Run) granted(w *wish, now Snapshot) (Setting, error) {
	is := now.Values[w.group].or(w.key, absent)
	s := Setting{Name: Name(w.group, w.key), Requested: w.want, Before: r.snapshot.Values[w.group].or(w.key, absent), Active: is}
	if w.refused == "" && active(is) != w.want {
		s.Clamped = w.group != Feature
		if !s.Clamped {
			if err := r.leaveOut(w, fmt.Errorf("%s: set %s=%s: %w: another change made it %s: leave that out", r.link.Name, w.key, w.want, ErrRefused, is)); err != nil {
				return s, err
			}
		}
	}
	s.Refused = w.refused
	return s, nil
}

func (r *Run) tell() {
	for _, s := range r.settings {
		if s.Clamped {
			r.cfg.Warn(fmt.Sprintf("%s: %s was asked to be %s and is %s: the driver rounds or limits it", r.link.Name, s.Name, s.Requested, s.Active))
		}
	}
}

// Settings are those that were asked for, and behind them those that they took along.
func (r *Run) Settings() []Setting { return r.settings }

// Restore puts everything back, compares, and gives the interface free. Where not all is as it was, the error is [ErrNotRestored], the journal
// stays, and Recover may be tried later. Further calls return the same.
func (r *Run) Restore() (Restored, error) {
	if r.over {
		return r.restored, r.failed
	}
	r.over = true
	r.restored, r.failed = r.restore()
	r.guardian.dismiss()
	r.cfg.step("guardian dismissed")
	r.failed = errors.Join(r.failed, r.lock.release())
	r.cfg.step("released")
	return r.restored, r.failed
}

func (r *Run) restore() (Restored, error) {
	if r.journal == nil {
		return Restored{Exact: true, Settings: r.snapshot.Len(), Differences: []Difference{}}, nil
	}
	return r.journal.restore(restorer{r.cfg.do, r.cfg.step, r.cfg.patience.restore})
}

// restore puts back what the journal says, and removes it where that is exact.
func (j *Journal) restore(with restorer) (Restored, error) {
	link, err := j.find()
	switch {
	case errors.Is(err, hw.ErrNoInterface):
		return Restored{Gone: true, Settings: j.Snapshot.Len(), Differences: []Difference{}}, j.remove()
	case err != nil:
		return Restored{}, fmt.Errorf("%s: %w: %w: %q tries again", j.Interface, ErrNotRestored, err, "xsend restore "+j.Interface)
	}
	out, refused := with.restore(link, j.Snapshot)
	if out.Exact {
		with.step("restored")
		err := j.remove()
		with.step("journal removed")
		return out, err
	}
	j.Failed = out.Differences
	err = j.write(filepath.Dir(j.path), with.step)
	why := ""
	if refused != nil {
		why = ": " + strings.ReplaceAll(refused.Error(), "\n", "; ")
	}
	return out, errors.Join(fmt.Errorf("%s: %w: %v%s: %q tries again; the values are in %s", j.Interface, ErrNotRestored, out, why, "xsend restore "+j.Interface, j.path), err)
}
