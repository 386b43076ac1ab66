// Package capture reads a pcap of a wire and says what one TCP sender put on it: the stream that
// its segments make up, whether their checksums hold, and whether any sequence range left a second
// time with different bytes.
//
// It is the independent witness of the lab: the capture is written outside the guest and decoded
// by gopacket, so it shares no code with the sender it judges. A range that changes between two
// transmissions (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.1 resends the same data) means
// that memory was given back while a clone of it was still queued.
//
// It owns nothing but the Capture it returns. One call per file, no goroutines, safe to call from
// several at once. Limits: the payload is kept in memory, one connection needs twice its stream;
// a segment more than 16 MiB beyond the data seen so far is counted as stray and not kept; IP
// fragments are not put together; a connection is known from its SYN on.
package capture
