package web

import (
	"fmt"
	"reflect"

	"github.com/drawbridge-net/drawbridge"
)

// complete makes empty lists and objects of those that are nil, all the way down: nobody who reads the API
// should have to tell null from nothing. What v points to belongs to us.
func complete[T any](v T) T {
	fill(reflect.ValueOf(&v).Elem())
	return v
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		if v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				fill(v.Index(i))
			}
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Type().Elem().Kind() == reflect.Struct {
			fill(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f)
			}
		}
	}
}

// canonical is f with its address as the tables write it.
func (f MACFilter) canonical() (MACFilter, error) {
	if f.MAC == "" {
		return f, nil
	}
	mac, err := drawbridge.ParseMAC(f.MAC)
	if err != nil {
		return f, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	f.MAC = mac.String()
	return f, nil
}
