package toy

const dozen = 12

// Dozens is how many whole dozens n are.
func Dozens(n int) int { return n / dozen }

// Between reports that n is neither below low nor at or above high.
func Between(n, low, high int) bool { return low <= n && n < high }

// Tally adds up what is not negative.
type Tally struct{ sum, calls int }

// Add adds n.
func (t *Tally) Add(n int) {
	if n < 0 {
		return
	}
	t.sum += n
	t.calls++
}

// Find is the place of v, which is not negative, in the list.
func Find(list []int, v int) (int, bool) {
	for i, have := range list {
		if have < 0 {
			continue
		}
		if have == v {
			return i, true
		}
	}
	return len(list), false
}
