// Moving a segment on purpose: what is checked before, what it would cost, and how it went.
import { useState } from "preact/hooks";
import { change, said } from "./api";
import type { Gateway, Operation, Segment, Takeover } from "./api";
import { milliseconds, plural } from "./format";
import { Checks, Progress } from "./operation";
import { who } from "./session";
import { Dialog } from "./ui/dialog";
import { Icon } from "./ui/icons";
import { Empty, State } from "./ui/parts";

type Kind = "switchover" | "drill";

const words = {
  switchover: { title: "Switch over", verb: "Switch over", lead: "The active gateway shuts its gate, hands over what it holds, and the other one opens." },
  drill: { title: "Rehearse", verb: "Rehearse", lead: "The segment moves there and back while probes are sent through it. The report says what was lost, doubled or late." },
};

export function MoveDialog({ kind, segment: s, takeovers, onClose }: { kind: Kind; segment: Segment; takeovers: Takeover[]; onClose: () => void }) {
  const others = s.gateways.filter((g) => g.peer !== s.active);
  const soonest = others.find((g) => g.ready) ?? others[0];
  const [to, setTo] = useState(soonest?.peer ?? "");
  const [begun, setBegun] = useState<Operation>();
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const target = takeovers.find((t) => t.segment === s.name && t.peer === to);
  const ready = target ? target.ready : others.find((g) => g.peer === to)?.ready ?? false;
  const failed = target?.checks.filter((c) => !c.ok).length ?? 0;
  const start = async () => {
    setBusy(true);
    setWrong("");
    try {
      const names = { segment: s.name }, body = { to, by: who() };
      setBegun(kind === "drill" ? await change("POST /segments/{segment}/drill", body, names) : await change("POST /segments/{segment}/switchover", body, names));
    } catch (err) {
      setWrong(said(err));
    }
    setBusy(false);
  };
  return (
    <Dialog
      title={`${words[kind].title}: ${s.name}`} wide onClose={onClose}
      actions={begun ? <button type="button" class="primary" onClick={onClose}>Close</button> : (
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="button" class="primary" disabled={busy || !ready} aria-describedby="why-not" onClick={start}>
            {busy && <span class="spinner" aria-hidden="true" />} {words[kind].verb}
          </button>
        </>
      )}
    >
      {others.length === 0 ? <Empty icon="segment" title={`${s.name} has no second gateway`}>Give another peer with the role gateway a port on this segment, in its node file. <a href="/tokens?new=1">Invite a peer</a> if there is none.</Empty>
        : begun ? <Progress begun={begun} />
        : (
          <>
            <p class="quiet-text">{words[kind].lead}</p>
            <div class="form-row">
              <label class="field"><span>{s.active ? `From ${s.active} to` : "To"}</span>
                <select value={to} onChange={(e) => setTo(e.currentTarget.value)}>{others.map((g) => <option key={g.peer} value={g.peer}>{g.peer}</option>)}</select>
              </label>
              <p class="cost">
                {target && target.planned_ms > 0 ? <><strong>{milliseconds(target.planned_ms)}</strong> frames would be held, by the last switchovers</> : "No switchover to it has been measured yet"}
              </p>
            </div>
            {target && <Checks checks={target.checks} />}
            <p id="why-not">{ready ? <State tone="ok">every check passes</State> : <State tone="bad">{failed > 0 ? `${failed} of ${plural(target!.checks.length, "check")} ${failed === 1 ? "fails" : "fail"}` : `${to} is not ready`}</State>}</p>
            {wrong && <p class="wrong" role="alert"><Icon name="bad" size={18} /> {wrong}</p>}
          </>
        )}
    </Dialog>
  );
}

export const inMaintenance = (g: Gateway): boolean => g.reasons.some((r) => r.includes("maintenance"));

export function MaintenanceDialog({ gateway: g, segment: s, onClose }: { gateway: Gateway; segment: Segment; onClose: () => void }) {
  const on = !inMaintenance(g);
  const [begun, setBegun] = useState<Operation>();
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const start = async () => {
    setBusy(true);
    setWrong("");
    try {
      setBegun(await change("POST /peers/{name}/maintenance", { on, by: who() }, { name: g.peer }));
    } catch (err) {
      setWrong(said(err));
    }
    setBusy(false);
  };
  const alone = !s.gateways.some((x) => x.peer !== g.peer && x.ready);
  return (
    <Dialog
      title={on ? `Send ${g.peer} into maintenance` : `End the maintenance of ${g.peer}`} onClose={onClose}
      actions={begun ? <button type="button" class="primary" onClick={onClose}>Close</button> : (
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="button" class={on ? "danger" : "primary"} disabled={busy} onClick={start}>{busy && <span class="spinner" aria-hidden="true" />} {on ? "Into maintenance" : "End maintenance"}</button>
        </>
      )}
    >
      {begun ? <Progress begun={begun} /> : (
        <>
          <p>{on ? `${g.peer} gives up its segments to others, and takes none until its maintenance ends. That holds across restarts.` : `${g.peer} may carry segments again.`}</p>
          {on && g.peer === s.active && alone && <p><State tone="bad">Nobody could take over {s.name}: it would be carried by nobody.</State></p>}
          {wrong && <p class="wrong" role="alert"><Icon name="bad" size={18} /> {wrong}</p>}
        </>
      )}
    </Dialog>
  );
}
