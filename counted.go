package drawbridge

import "fmt"

// Counted is n of something, in words for people: "1 copy", "2 copies". Without many the plural takes an s.
func Counted[N ~int | ~int64 | ~uint32 | ~uint64](n N, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}
