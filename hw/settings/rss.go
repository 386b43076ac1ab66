package settings

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// struct ethtool_rxfh of linux/ethtool.h: command, context, entries of the table, bytes of the key, hash function,
// padding; then the table and the key. The library's table ends at 256 entries, and the kernel writes behind it.
const (
	rxfhHead    = 24
	rxfhEntries = 8
	rxfhKey     = 12
	rxfhHash    = 16
	rxfhMost    = 1 << 16 // bytes of table and key; the largest tables known are 16 KiB

	getRxfh, setRxfh = 0x46, 0x47
	noTable          = 1<<32 - 1 // entries of a table that stays (ETH_RXFH_INDIR_NO_CHANGE); 0 is the default table
)

// rss reads and sets what receive-side scaling does: "table" as queue numbers, "key" in hexadecimal, "hash" as the number of the
// function.
func rss(fd int, r request) (reply, error) {
	buf, entries, err := readRxfh(fd, r.name)
	if err != nil {
		return reply{}, err
	}
	if !r.set {
		return reply{values: rxfhValues(buf, entries)}, nil
	}
	if err := patchRxfh(buf, entries, r.values); err != nil {
		return reply{}, err
	}
	buf = onlyAsked(buf, entries, r.values)
	if table := r.values["table"]; table != "" && table == defaultTable(entries, rxRings(fd, r.name)) {
		buf = resetTable(buf, entries)
	}
	binary.NativeEndian.PutUint32(buf, setRxfh)
	return reply{}, ethtoolIoctl(fd, r.name, buf)
}

// onlyAsked leaves out what is not to change: there are drivers that tell of a key and take none, not even the same.
func onlyAsked(buf []byte, entries int, v Values) []byte {
	head, table, key := buf[:rxfhHead], buf[rxfhHead:rxfhHead+4*entries], buf[rxfhHead+4*entries:]
	out := slices.Clone(head)
	if _, asked := v["table"]; asked {
		out = append(out, table...)
	} else {
		binary.NativeEndian.PutUint32(out[rxfhEntries:], noTable)
	}
	if _, asked := v["key"]; asked {
		out = append(out, key...)
	} else {
		binary.NativeEndian.PutUint32(out[rxfhKey:], 0)
	}
	if _, asked := v["hash"]; !asked {
		out[rxfhHash] = 0
	}
	return out
}

// resetTable leaves the table to the kernel. Once it was given, even as it is by default, the kernel takes it for somebody's wish and lets no one
// have fewer channels.
func resetTable(buf []byte, entries int) []byte {
	binary.NativeEndian.PutUint32(buf[rxfhEntries:], 0)
	return slices.Delete(buf, rxfhHead, rxfhHead+4*entries)
}

// defaultTable is what the kernel makes for so many queues (ethtool_rxfh_indir_default).
func defaultTable(entries, rings int) string {
	if rings < 1 {
		return ""
	}
	var b strings.Builder
	for i := range entries {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(i % rings))
	}
	return b.String()
}

// rxRings is how many queues the kernel makes a table for; 0 where it doesn't say.
func rxRings(fd int, name string) int {
	buf := rxnfc(unix.ETHTOOL_GRXRINGS, 0)
	if ethtoolIoctl(fd, name, buf) != nil {
		return 0
	}
	return int(binary.NativeEndian.Uint64(buf[rxnfcData:]))
}

func readRxfh(fd int, name string) (buf []byte, entries int, err error) {
	head := make([]byte, rxfhHead)
	binary.NativeEndian.PutUint32(head, getRxfh)
	if err := ethtoolIoctl(fd, name, head); err != nil {
		return nil, 0, err
	}
	n, key := binary.NativeEndian.Uint32(head[rxfhEntries:]), binary.NativeEndian.Uint32(head[rxfhKey:])
	if n == 0 && key == 0 {
		return nil, 0, unix.EOPNOTSUPP
	}
	if n > rxfhMost/4 || key > rxfhMost {
		return nil, 0, fmt.Errorf("a table of %d entries and a key of %d bytes", n, key)
	}
	buf = make([]byte, rxfhHead+4*int(n)+int(key))
	copy(buf, head)
	binary.NativeEndian.PutUint32(buf, getRxfh)
	return buf, int(n), ethtoolIoctl(fd, name, buf)
}

func rxfhValues(buf []byte, entries int) Values {
	v := Values{"hash": strconv.Itoa(int(buf[rxfhHash]))}
	table, key := buf[rxfhHead:rxfhHead+4*entries], buf[rxfhHead+4*entries:]
	if len(table) > 0 {
		var b strings.Builder
		for i := range entries {
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprint(&b, binary.NativeEndian.Uint32(table[4*i:]))
		}
		v["table"] = b.String()
	}
	if len(key) > 0 {
		v["key"] = hex.EncodeToString(key)
	}
	return v
}

// patchRxfh puts values in the place of those that were read. A table of another length belongs to other queues.
func patchRxfh(buf []byte, entries int, v Values) error {
	if text, asked := v["table"]; asked {
		numbers := strings.Fields(text)
		if len(numbers) != entries {
			return fmt.Errorf("the table had %d entries and has %d", len(numbers), entries)
		}
		for i, s := range numbers {
			n, err := strconv.ParseUint(s, 10, 32)
			if err != nil {
				return err
			}
			binary.NativeEndian.PutUint32(buf[rxfhHead+4*i:], uint32(n))
		}
	}
	if text, asked := v["key"]; asked {
		key, err := hex.DecodeString(text)
		if err != nil || len(key) != len(buf)-rxfhHead-4*entries {
			return fmt.Errorf("the key %q isn't of %d bytes", text, len(buf)-rxfhHead-4*entries)
		}
		copy(buf[rxfhHead+4*entries:], key)
	}
	if text, asked := v["hash"]; asked {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return err
		}
		buf[rxfhHash] = byte(n)
	}
	return nil
}
