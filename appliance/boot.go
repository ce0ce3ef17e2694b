package appliance

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

// bootFile in the state directory has the number of the last run.
const bootFile = "boot"

// nextBoot numbers this run: above every run before it, also when the clock was set back in between, because
// neighbours take the hellos of a lower number for a replay and do not listen for a minute. The clock helps where the
// file was lost. It is on disk before it is used.
func nextBoot(stateDir string, now time.Time) (uint32, error) {
	path := filepath.Join(stateDir, bootFile)
	boot := uint32(now.Unix())
	text, err := os.ReadFile(path)
	switch {
	case os.IsNotExist(err):
	case err != nil:
		return boot, fmt.Errorf("read the number of the last run: %w", err)
	default:
		last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil {
			return boot, fmt.Errorf("%s is damaged (%w): remove it", path, err)
		}
		boot = max(boot, uint32(last)+1)
	}
	if err := secure.WriteFile(stateDir, bootFile, []byte(strconv.FormatUint(uint64(boot), 10)+"\n")); err != nil {
		return boot, fmt.Errorf("keep the number of this run: %w", err)
	}
	return boot, nil
}
