package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/drawbridge-net/drawbridge/web/access"
)

// Installer writes the system of an appliance, such as one that was started from a stick, to another disk.
type Installer interface {
	// Disks are those of this appliance.
	Disks(ctx context.Context) (Disks, error)
	InstallToDisk(ctx context.Context, r InstallRequest) (Operation, error)
}

// Disks are those of a machine.
type Disks struct {
	Appliance bool   `json:"appliance" doc:"Whether this peer runs the appliance image, which can be written to another disk"`
	Reason    string `json:"reason,omitempty" doc:"Why not, and what to do instead"`
	Disks     []Disk `json:"disks" doc:"Every disk, by name"`
}

// Disk is a whole disk.
type Disk struct {
	Name    string `json:"name" doc:"Name without its directory" example:"nvme0n1"`
	Size    int64  `json:"size" doc:"Bytes"`
	Model   string `json:"model,omitempty" doc:"As the disk says"`
	Holds   string `json:"holds" doc:"What is on it, for people" example:"2 partitions"`
	Refused string `json:"refused,omitempty" doc:"Why the system cannot be written to it, with the remedy; empty: it can"`
}

// InstallRequest asks for what erases a disk, so it names that twice.
type InstallRequest struct {
	Disk    string `json:"disk" minLength:"1" maxLength:"32" doc:"Name of the disk; everything on it is erased" example:"nvme0n1"`
	Confirm string `json:"confirm" maxLength:"32" doc:"The same name again, as a confirmation"`
	By      string `json:"by,omitempty" doc:"Who asks, for the record"`
}

// installs registers the way from a stick to a disk.
func (s *server) installs() {
	const invalid, missing, conflict, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable
	huma.Register(s.api, operation("get-disks", http.MethodGet, "/disks", "The disks of this appliance, and to which of them its system could be written", later),
		func(ctx context.Context, _ *struct{}) (*answer[Disks], error) {
			d, err := s.node.Disks(ctx)
			return &answer[Disks]{complete(d)}, s.refusal(err)
		})
	install := operation("install-to-disk", http.MethodPost, "/disks/install", "Write the system of this appliance to another disk, without identity and keys; everything on that is erased",
		invalid, missing, conflict, later)
	install.DefaultStatus = http.StatusAccepted
	huma.Register(s.api, install, func(ctx context.Context, in *answer[InstallRequest]) (*answer[Operation], error) {
		in.Body.By = author(ctx, in.Body.By)
		access.Note(ctx, nil, in.Body)
		o, err := s.node.InstallToDisk(ctx, in.Body)
		return &answer[Operation]{complete(o)}, s.refusal(err)
	})
}
