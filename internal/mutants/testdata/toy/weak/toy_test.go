package toy

import "testing"

func TestDozens(t *testing.T) {
	if Dozens(24) != 2 {
		t.Error("no dozen")
	}
}

func TestBetween(t *testing.T) {
	if Between(0, 1, 3) || !Between(2, 1, 3) || Between(4, 1, 3) {
		t.Error("not between")
	}
}

func TestTally(t *testing.T) {
	var tally Tally
	tally.Add(3)
	tally.Add(4)
	if tally.sum != 7 {
		t.Error(tally)
	}
}

func TestFind(t *testing.T) {
	if i, ok := Find([]int{5, 6}, 6); i != 1 || !ok {
		t.Error(i, ok)
	}
}
