package main

import (
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		span(-time.Second):                     "<1 s",
		span(59 * time.Second):                 "59 s",
		span(61 * time.Second):                 "1 min 1 s",
		span(9*time.Hour + 59*time.Minute):     "9 h 59 min",
		span(26 * time.Hour):                   "1 d 2 h",
		span(400 * 24 * time.Hour):             "400 d",
		rest(time.Hour - 200*time.Millisecond): "1 h",
		rest(90*time.Second - time.Nanosecond): "1 min 30 s",
		quantity(9999):                         "9999",
		quantity(10_000):                       "10.0 k",
		quantity(99_950):                       "100 k",
		quantity(999_499):                      "999 k",
		quantity(999_500):                      "1.00 M",
		quantity(1<<64 - 1):                    "18.4 E",
		octets(12):                             "12 B",
		octets(7_100_000_000):                  "7.10 GB",
		milliseconds(0):                        "",
		milliseconds(web.Milliseconds(0.4249)): "0.42 ms",
		milliseconds(123.4):                    "123 ms",
		percent(0.004):                         "0.40%",
		percent(0.25):                          "25%",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
