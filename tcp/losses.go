package tcp

// lossState counts what was marked lost. Congestion control is not called per segment:
// what it would ask of each is gathered here, until the next ACK tells it.
type lossState struct {
	lost uint64 // bytes, ever
	end  Seq    // of the segment marked last
	news losses // what congestion control does not know yet
}

// losses is what was marked lost since the last sample.
type losses struct {
	bytes int
	runs  int      // of segments that follow each other
	worst lostRate // of the first segment whose loss was too much, or of the last
}

// lostRate is what of the flight that a segment was sent in is lost, now that it is.
type lostRate struct {
	lost       int // bytes marked lost since it was sent, itself included
	inFlight   int // when it was sent, itself included
	size       int
	appLimited bool // it was sent while the writer had nothing more
}

// lossThresh is how many bytes in flight make up for one that is lost while probing for
// bandwidth: 2 % (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-2.8, BBR.LossThresh).
const lossThresh = 50

func tooMuch(lost, inFlight int) bool { return lost*lossThresh > inFlight }

// lose counts slot s, which was just found lost.
func (l *lossState) lose(s *slot) {
	n, st := s.seqLen(), &s.rate
	l.lost += uint64(n)
	l.news.bytes += n
	if l.news.runs == 0 || s.seq != l.end {
		l.news.runs++
	}
	l.end = s.end()
	if w := &l.news.worst; !tooMuch(w.lost, w.inFlight) {
		*w = lostRate{lost: int(l.lost - st.lost), inFlight: st.inFlight, size: n, appLimited: st.appLimited}
	}
}

// tell gives what congestion control does not know yet.
func (l *lossState) tell() losses {
	n := l.news
	l.news = losses{}
	return n
}
