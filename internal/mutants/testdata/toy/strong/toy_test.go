package toy

import "testing"

func TestDozens(t *testing.T) {
	if Dozens(24) != 2 || Dozens(23) != 1 {
		t.Error("no dozen")
	}
}

func TestBetween(t *testing.T) {
	for n, want := range []bool{false, true, true, false} {
		if Between(n, 1, 3) != want {
			t.Error(n)
		}
	}
}

func TestTally(t *testing.T) {
	var tally Tally
	for _, n := range []int{3, -1, 0, 4} {
		tally.Add(n)
	}
	if tally != (Tally{7, 3}) {
		t.Error(tally)
	}
}

func TestFind(t *testing.T) {
	list := []int{5, -1, 0, 9}
	for v, want := range map[int]int{5: 0, 0: 2, 9: 3} {
		if i, ok := Find(list, v); i != want || !ok {
			t.Error(v, i, ok)
		}
	}
	for _, v := range []int{7, -1} {
		if i, ok := Find(list, v); i != 4 || ok {
			t.Error(v, i, ok)
		}
	}
}
