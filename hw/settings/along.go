package settings

// switchedOff are the features that the kernel switches off for a generic program (dev_disable_lro and dev_disable_gro_hw in net/core/dev.c), and that many drivers switch
// off for a native one; nobody switches them on again.
var switchedOff = []string{"rx-lro", "rx-gro-hw"}

// TakenAlong are the features of an interface that attaching an XDP program switches off for good: whoever wants them back sets Config.Keep. None where
// nobody tells.
func TakenAlong(name string, index int) []string { return kernel(system).takenAlong(name, index) }

func (k kernel) takenAlong(name string, index int) (list []string) {
	now, err := k(request{group: Feature, name: name, index: index})
	if err != nil {
		return nil
	}
	for _, f := range switchedOff {
		if state := now.values[f]; active(state) == on && !isFixed(state) {
			list = append(list, f)
		}
	}
	return list
}
