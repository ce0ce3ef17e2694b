package drawbridge

import "testing"

func TestCounted(t *testing.T) {
	for got, want := range map[string]string{
		Counted(0, "peer"):                   "0 peers",
		Counted(1, "peer"):                   "1 peer",
		Counted(uint64(2), "peer"):           "2 peers",
		Counted(1, "copy", "copies"):         "1 copy",
		Counted(uint32(0), "copy", "copies"): "0 copies",
		Counted(int64(70), "copy", "copies"): "70 copies",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
