package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/drawbridge-net/drawbridge/appliance/keypath"
)

// live are the keys whose change counts at once when a daemon reads its node file again. The others are of what runs: sockets, keys,
// ports. To change those would interrupt what goes through them.
var live = []string{"join", "log.level"}

// Live reports whether a change of the key counts without a new start.
func (k Key) Live() bool { return slices.Contains(live, k.Name) }

// Changes are the keys in which two node files differ, in the order of the reference, as an error would name them: segment[2].vlan, and
// segment[2] where one of them has no such table. What stands for the same is no change: an empty join, and none.
func Changes(from, to *Config) (now, next []string) {
	for _, name := range differences("", reflect.ValueOf(*from), reflect.ValueOf(*to)) {
		if k, ok := lookUp(name); ok && k.Live() {
			now = append(now, name)
		} else {
			next = append(next, name)
		}
	}
	return now, next
}

// TakeLive is c with what counts at once as other has it.
func (c *Config) TakeLive(other *Config) *Config {
	taken := *c
	taken.Join, taken.Log.Level = other.Join, other.Log.Level
	return &taken
}

// differences walks two values of the same type by the names of their keys.
func differences(name string, a, b reflect.Value) (all []string) {
	switch {
	case a.Kind() == reflect.Struct:
		for i := range a.NumField() {
			if key := a.Type().Field(i).Tag.Get("toml"); key != "-" {
				all = append(all, differences(keypath.Join(name, key), a.Field(i), b.Field(i))...)
			}
		}
	case a.Kind() == reflect.Slice && a.Type().Elem().Kind() == reflect.Struct:
		for i := range max(a.Len(), b.Len()) {
			table := fmt.Sprintf("%s[%d]", name, i+1)
			if i >= min(a.Len(), b.Len()) {
				all = append(all, table)
				continue
			}
			all = append(all, differences(table, a.Index(i), b.Index(i))...)
		}
	case !reflect.DeepEqual(a.Interface(), b.Interface()) && !bothNone(name, a, b):
		all = append(all, name)
	}
	return all
}

// bothNone reports two lists of nothing. To advertise nothing is something else than not to say what.
func bothNone(name string, a, b reflect.Value) bool {
	return a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 && !strings.HasPrefix(name, "advertise")
}
