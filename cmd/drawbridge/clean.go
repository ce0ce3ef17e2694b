package main

import (
	"reflect"
	"strings"
	"unicode"
)

// clean takes control characters out of every text in v, which is a pointer. Some of it was written by other
// peers, and a terminal obeys what it is shown.
func clean(v any) { scrub(reflect.ValueOf(v).Elem()) }

func scrub(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(strings.Map(visible, v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			scrub(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			scrub(v.Index(i))
		}
	case reflect.Map:
		scrubKeys(v)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				scrub(f)
			}
		}
	}
}

// scrubKeys is for counts by reason: their values are numbers.
func scrubKeys(m reflect.Value) {
	for _, key := range m.MapKeys() {
		if key.Kind() != reflect.String {
			return
		}
		if name := strings.Map(visible, key.String()); name != key.String() {
			m.SetMapIndex(reflect.ValueOf(name).Convert(key.Type()), m.MapIndex(key))
			m.SetMapIndex(key, reflect.Value{})
		}
	}
}

func visible(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
		return '?'
	}
	return r
}
