// From the stick that an appliance was started from, or any other disk, to one that stays in the machine.
import { useState } from "preact/hooks";
import { useAnswer } from "../../answer";
import { change, read } from "../../api";
import type { Disk } from "../../api";
import { bytes, dot } from "../../format";
import { useFeed } from "../../live";
import { Progress } from "../../operation";
import { who, whyNot } from "../../session";
import { FormDialog, Gated } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Card, Loading, State } from "../../ui/parts";

/** ToDisk is there on appliances alone: a package is installed by other means. */
export function ToDisk({ here }: { here: string }) {
  const slots = useAnswer(() => read("/update"), "appliance", 60_000);
  const all = useFeed("/operations").data ?? [];
  const [asked, ask] = useState(false);
  if (!slots.data?.appliance) return null;
  const last = all.filter((o) => o.kind === "install" && o.to === here).sort((a, b) => (a.started < b.started ? 1 : -1))[0];
  const busy = all.some((o) => (o.kind === "install" || o.kind === "update") && o.to === here && o.state === "running");
  return (
    <Card title={`Another disk for ${here}`}>
      <p class="quiet-text">Writes this system to another disk of the machine, when {here} was started from a stick, say. The disk starts without identity and keys: as a machine that was never set up. Take a backup of {here} first, and restore it there.</p>
      {last && <section class="below" aria-label="The last installation on a disk"><Progress begun={last} /></section>}
      <div class="card-tools"><Gated danger why={whyNot("admin") ?? (busy ? "An update or an installation is under way" : undefined)} onClick={() => ask(true)}>Install on a disk…</Gated></div>
      {asked && <Choose here={here} onClose={() => ask(false)} />}
    </Card>
  );
}

function Choose({ here, onClose }: { here: string; onClose: () => void }) {
  const disks = useAnswer(() => read("/disks"), "disks");
  const [chosen, choose] = useState<Disk>();
  const [typed, setTyped] = useState("");
  const all = disks.data?.disks;
  return (
    <FormDialog
      title={`Write the system of ${here} to a disk`} verb={chosen ? `Erase ${chosen.name} and write it` : "Choose a disk"} locked={!chosen || typed !== chosen.name} onClose={onClose}
      act={async () => void (await change("POST /disks/install", { disk: chosen!.name, confirm: typed, by: who() }))}
    >
      {!all ? <Loading refused={disks.refused} /> : (
        <fieldset class="fields">
          <legend>Disks of this machine</legend>
          {all.map((d) => (
            <label key={d.name} class="check">
              <input type="radio" name="disk" disabled={Boolean(d.refused)} checked={chosen?.name === d.name} onChange={() => choose(d)} />
              <span><strong class="mono">{d.name}</strong>{dot}{bytes(d.size)}{dot}{d.model || "no model"}<small>On it: {d.holds}{d.refused && <>. Not this one: it {d.refused}</>}</small></span>
            </label>
          ))}
        </fieldset>
      )}
      {all?.every((d) => d.refused) && <p class="notice"><Icon name="warn" size={18} /> <span>There is no disk that this system could be written to: add one.</span></p>}
      {chosen && (
        <>
          <p><State tone="bad">Everything on {chosen.name} is erased</State> On it: {chosen.holds}.</p>
          <label class="field"><span>Type <strong>{chosen.name}</strong> to go on</span><input value={typed} autocomplete="off" spellcheck={false} onInput={(e) => setTyped(e.currentTarget.value)} /></label>
          <p class="fine">When it is written, take out the medium that {here} was started from, and restart the machine.</p>
        </>
      )}
    </FormDialog>
  );
}
