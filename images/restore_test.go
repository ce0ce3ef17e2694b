//go:build image

package images

import (
	"regexp"
	"strings"
	"testing"
)

const backupSecret = "correct horse battery staple"

// backupOf makes a backup of a peer on a medium, in a machine that is lost then; id is the peer's.
func backupOf(t *testing.T, medium, name string) (id string) {
	t.Helper()
	v := start(t, false, newDisk(t), stick(t), medium)
	v.booted()
	v.expect(untilGood, "END=0")
	v.expect("echo 'format = 1' >/run/c.toml; until drawbridge config apply /run/c.toml -m first; do sleep 1; done", "END=0")
	v.expect("mount /dev/vdc /mnt && DRAWBRIDGE_BACKUP_PASSPHRASE='"+backupSecret+"' drawbridge backup create /mnt/"+name+" && umount /mnt && sync", "Backup of peer a (.|\n)*END=0")
	said := v.expect("sha256sum /var/lib/drawbridge/peer.crt", "^[0-9a-f]{64}")
	v.cut()
	return regexp.MustCompile("[0-9a-f]{64}").FindString(said)
}

// TestRestoreFromScreen brings a lost peer back on a machine without a shell, from a stick that is in it.
func TestRestoreFromScreen(t *testing.T) {
	medium := medium(t, nil)
	id := backupOf(t, medium, "a.age")
	v := start(t, false, newDisk(t), medium)
	v.shows("This machine has not been set up")
	v.types("restore")
	v.shows("Its number, or nothing to go back", "vdb", "a.age")
	v.types("1")
	v.shows("Passphrase of a.age")
	v.types(strings.ToUpper(backupSecret))
	v.shows("a.age: the passphrase is wrong")
	v.types("1")
	v.types(backupSecret)
	v.shows("Backup of peer a of network home", "all whole", "THE OLD MACHINE MUST NEVER START AGAIN")
	v.types("a found")
	v.shows("This machine is a now")
	v.booted()
	v.expect("sha256sum /var/lib/drawbridge/peer.crt", id)
	v.expect(untilReady+"; drawbridge status", "a .* in network home")
	v.expect("ls -A /var/lib/drawbridge | grep -c '^[.]'", "^0\n")
}

// TestRestoreByFile is a restoration without hands, by a medium that has the backup and its passphrase.
func TestRestoreByFile(t *testing.T) {
	m := medium(t, map[string]string{"passphrase": backupSecret + "\n"})
	id := backupOf(t, m, "backup")
	v := start(t, false, newDisk(t), m)
	v.booted()
	v.expect(untilUp+"; sha256sum /var/lib/drawbridge/peer.crt", id)
	v.expect("ls /run/drawbridge-provision | wc -l", "^0\n")
	v.expect("until drawbridge status; do sleep 5; done", "a .* in network home")
}
