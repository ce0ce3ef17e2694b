// The way back to the beginning: an appliance forgets everything.
import { change } from "../../api";
import { who } from "../../session";
import { Confirm } from "../../ui/dialog";
import { toast } from "../../ui/toast";

export function FactoryReset({ here, onClose }: { here: string; onClose: () => void }) {
  return (
    <Confirm
      title={`Erase ${here} for good?`} verb="Erase and start anew" type={here} onClose={onClose}
      act={async () => {
        const r = await change("POST /factory-reset", { confirm: here, by: who() });
        toast(`${r.peer} forgets everything and starts anew within ${r.within_s} s`);
      }}
    >
      <p>Erased on this machine: the identity and keys of {here}, its node file, its audit log, its certificate for browsers, and its copy of users, addresses and the network configuration. Both system slots stay. Only a backup brings {here} back.</p>
      <p>First {here} hands its segments over, and the other peers remove it, vote and certificate. Each has half a minute; after that it goes on without. What they could not do is to be done there: <span class="mono">drawbridge peers forget {here}</span>. Nothing begins if those that are left could decide nothing without {here}.</p>
      <p>Within a minute and a half the machine starts as one that was never set up. Then this address has its set-up page, for who sees the one-time code on its screen.</p>
    </Confirm>
  );
}
