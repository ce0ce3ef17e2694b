package drawbridge

import "unicode/utf8"

// Cut is the beginning of a text, at most so many bytes of it, that ends with a whole character.
func Cut[T ~string | ~[]byte](text T, most int) T {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
