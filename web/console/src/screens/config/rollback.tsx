import { useState } from "preact/hooks";
import { based, change } from "../../api";
import type { ConfigVersion } from "../../api";
import { who } from "../../session";
import { FormDialog } from "../../ui/form";
import { toast } from "../../ui/toast";
import { inForce, useGuard, Why } from "./guard";

/** RollBack asks before an earlier version is in force again. What waits to be confirmed ends by it, so there is nothing to wait for. */
export function RollBack({ to, newest, onClose, done }: { to: number; newest: ConfigVersion; onClose: () => void; done: () => void }) {
  const [comment, setComment] = useState("");
  const guard = useGuard();
  const waits = newest.state === "waiting";
  return (
    <FormDialog
      title={`Roll back to version ${to}?`} verb="Roll back" onClose={onClose}
      act={async () => {
        toast(inForce(await change("POST /config/rollback", { to, comment, by: who(), ...(!waits && guard.said) }, {}, based(newest.version))));
        done();
      }}
    >
      <p>Its document becomes version {newest.version + 1}, in force on every peer at once. <a href={`/config/changes?from=${newest.version}&to=${to}`}>See what that changes</a> first.</p>
      {waits && <p>Version {newest.version}, which waits to be confirmed, is reverted by it.</p>}
      <Why value={comment} onValue={setComment} />
      {!waits && guard.fields}
    </FormDialog>
  );
}
