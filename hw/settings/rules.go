package settings

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
)

// struct ethtool_rxnfc of linux/ethtool.h: command, flow type, a number, the rule, the number of rules; then their
// locations.
const (
	rxnfcSize  = 192
	rxnfcData  = 8
	rxnfcSpec  = 16
	rxnfcCount = 184
	rxnfcLocs  = 188
	specSize   = 168
	specAt     = 160 // of the location in a rule

	countRules, readRule, listRules, deleteRule, insertRule = 0x2e, 0x2f, 0x30, 0x31, 0x32

	mostRules = 1 << 16

	specialPlaces = 1 << 31   // a driver says that it can choose locations itself
	anyPlace      = 1<<32 - 1 // has it choose one
)

// ofDriver is the location of a rule that a driver is to choose itself. Among the largest values it says that the driver can, and "" is how many locations
// there are.
const ofDriver = "any"

// rules are the ntuple rules as the kernel has them, in hexadecimal, by location. Set to absent, one is deleted.
func rules(fd int, r request) (reply, error) {
	if r.set {
		return reply{}, setRules(fd, r)
	}
	locations, most, err := ruleLocations(fd, r.name)
	if err != nil {
		return reply{}, err
	}
	v := Values{}
	for _, at := range locations {
		buf := rxnfc(readRule, 0)
		binary.NativeEndian.PutUint32(buf[rxnfcSpec+specAt:], at)
		if err := ethtoolIoctl(fd, r.name, buf); err != nil {
			return reply{}, err
		}
		v[strconv.Itoa(int(at))] = hex.EncodeToString(buf[rxnfcSpec : rxnfcSpec+specSize])
	}
	return reply{values: v, most: most}, nil
}

func rxnfc(command uint32, locations int) []byte {
	buf := make([]byte, rxnfcSize+4*locations)
	binary.NativeEndian.PutUint32(buf, command)
	return buf
}

func ruleLocations(fd int, name string) (list []uint32, most Values, err error) {
	buf := rxnfc(countRules, 0)
	if err := ethtoolIoctl(fd, name, buf); err != nil {
		return nil, nil, err
	}
	n, places := binary.NativeEndian.Uint32(buf[rxnfcCount:]), binary.NativeEndian.Uint64(buf[rxnfcData:])
	if n > mostRules {
		return nil, nil, fmt.Errorf("%d ntuple rules", n)
	}
	most = Values{}
	if places&specialPlaces != 0 {
		most[ofDriver] = on
	}
	buf = rxnfc(listRules, int(n))
	binary.NativeEndian.PutUint32(buf[rxnfcCount:], n)
	err = ethtoolIoctl(fd, name, buf)
	if err == nil {
		most[""] = strconv.FormatUint(binary.NativeEndian.Uint64(buf[rxnfcData:]), 10)
	}
	if n == 0 { // there may be drivers that don't list nothing
		return nil, most, nil
	}
	n = min(n, binary.NativeEndian.Uint32(buf[rxnfcCount:]))
	list = make([]uint32, n)
	for i := range list {
		list[i] = binary.NativeEndian.Uint32(buf[rxnfcLocs+4*i:])
	}
	return list, most, err
}

func setRules(fd int, r request) error {
	for _, k := range r.values.keys() {
		buf, err := ruleOrder(k, r.values[k])
		if err != nil {
			return err
		}
		if err := ethtoolIoctl(fd, r.name, buf); err != nil {
			return err
		}
	}
	return nil
}

// ruleOrder inserts a rule at a location, or deletes the one there.
func ruleOrder(k, text string) ([]byte, error) {
	at, err := strconv.ParseUint(k, 10, 32)
	if k == ofDriver {
		at, err = anyPlace, nil
	}
	if err != nil {
		return nil, fmt.Errorf("location %q: %w", k, err)
	}
	buf := rxnfc(deleteRule, 0)
	if text != absent {
		spec, err := hex.DecodeString(text)
		if err != nil || len(spec) != specSize {
			return nil, fmt.Errorf("rule at %s: %d bytes of %q", k, len(spec), text)
		}
		binary.NativeEndian.PutUint32(buf, insertRule)
		copy(buf[rxnfcSpec:], spec)
	}
	binary.NativeEndian.PutUint32(buf[rxnfcSpec+specAt:], uint32(at))
	return buf, nil
}
