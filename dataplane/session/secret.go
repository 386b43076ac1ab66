package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// secret makes sequence numbers and timestamps that an outsider can't guess.
type secret struct {
	key   [32]byte
	start time.Time
}

func newSecret() secret {
	s := secret{start: time.Now()}
	_, _ = rand.Read(s.key[:]) // never fails: crypto/rand ends the program instead
	return s
}

// sequence is ISN = M + F(flow, secret), M a clock of 4 microseconds
// (https://www.rfc-editor.org/rfc/rfc6528#section-3).
func (s *secret) sequence(f wire.Flow) tcp.Seq {
	ticks := uint32(time.Since(s.start) / (4 * time.Microsecond))
	return tcp.Seq(s.hash(f, 0) + ticks)
}

// timestamp is a random offset per flow (https://www.rfc-editor.org/rfc/rfc7323#section-5.4).
func (s *secret) timestamp(f wire.Flow) uint32 { return s.hash(f, 1) }

func (s *secret) hash(f wire.Flow, salt byte) uint32 {
	b := make([]byte, 0, 80)
	b = append(b, s.key[:]...)
	b = append(b, f.Local[:]...)
	b = append(b, f.Remote[:]...)
	b = binary.BigEndian.AppendUint16(b, f.LocalPort)
	b = binary.BigEndian.AppendUint16(b, f.RemotePort)
	sum := sha256.Sum256(append(b, salt))
	return binary.BigEndian.Uint32(sum[:])
}
