package tcp

// minFilter is the least value of the last while: three candidates of growing age, so
// that the answer is right without keeping every sample (Kathleen Nichols' algorithm,
// as in Linux lib/win_minmax.c).
type minFilter struct {
	best [3]timed
	have bool
}

type timed struct {
	at    Time
	value Duration
}

// update takes a sample and gives the least of the window that ends now.
func (f *minFilter) update(now Time, v Duration, window Duration) Duration {
	s := timed{now, v}
	b := &f.best
	switch {
	case !f.have || v <= b[0].value || now-b[2].at > window:
		*b = [3]timed{s, s, s}
		f.have = true
		return v
	case v <= b[1].value:
		b[1], b[2] = s, s
	case v <= b[2].value:
		b[2] = s
	}
	f.age(now, s, window)
	return b[0].value
}

// age moves the second and third in when the first is too old, and gets them from
// different parts of the window while it is not.
func (f *minFilter) age(now Time, s timed, window Duration) {
	b := &f.best
	switch old := now - b[0].at; {
	case old > window:
		b[0], b[1], b[2] = b[1], b[2], s
		if now-b[0].at > window {
			b[0], b[1] = b[1], b[2]
		}
	case b[1].at == b[0].at && old > window/4:
		b[1], b[2] = s, s
	case b[2].at == b[1].at && old > window/2:
		b[2] = s
	}
}
