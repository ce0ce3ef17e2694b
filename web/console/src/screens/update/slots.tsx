// The two systems of an appliance, and everything that is done to them.
import { useState } from "preact/hooks";
import { useAnswer, type Answer } from "../../answer";
import { change, read } from "../../api";
import type { Operation, Peer, Update as SlotsNow, UpdateSlot } from "../../api";
import { useFeed } from "../../live";
import { Progress } from "../../operation";
import { useSending, type Sending } from "../../sending";
import { who, whyNot } from "../../session";
import { Confirm } from "../../ui/dialog";
import { Gated } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { Card, Command, Loading, State, Time, type Tone } from "../../ui/parts";
import { toast } from "../../ui/toast";
import { OnItsWay, StopSending } from "./bundle";
import { Install } from "./install";
import { FactoryReset } from "./reset";

type Asked = "install" | "rollback" | "restart" | "reset" | "cancel";

/** Slots are the appliance's two systems. A package has none, and says how it is updated instead. */
export function Slots({ here, peers }: { here: string; peers: Peer[] }) {
  const [sending, underWay] = useSending();
  const operation = useUpdate(here, sending);
  const slots = useAnswer(() => read("/update"), `slots ${operation?.id} ${operation?.state}`, 60_000);
  const [asked, ask] = useState<Asked>();
  const u = slots.data, close = () => ask(undefined);
  if (!u) return <Card title="System slots"><Loading refused={slots.refused} /></Card>;
  const busy = underWay || operation?.state === "running";
  const running = u.slots.find((s) => s.name === u.running), other = u.slots.find((s) => s.name !== u.running);
  return (
    <Card title={u.appliance ? `System slots of ${here}` : "System slots"} aside={u.failure ? <State tone="bad">the last update was given up</State> : !u.appliance ? <State tone="idle">none</State> : undefined}>
      {u.appliance ? <Both u={u} /> : <Package u={u} />}
      {sending && !sending.rollOut && !sending.begun && <OnItsWay s={sending} cancel={() => ask("cancel")} />}
      {operation && <section class="below" aria-label={`The update of ${operation.to}`}><h3>{operation.state === "running" ? `An update of ${operation.to} is under way` : `The last update of ${operation.to}`}</h3><Progress begun={operation} /></section>}
      <div class="card-tools">
        <Gated primary={u.appliance} why={whyNot("admin") ?? (busy ? "An update is under way" : undefined)} onClick={() => ask("install")}><Icon name="upload" size={18} /> {u.appliance ? "Install an update…" : "Update another peer…"}</Gated>
        {u.appliance && <Gated why={whyNot("admin") ?? whyNoRollback(u, other, busy)} onClick={() => ask("rollback")}>Roll back…</Gated>}
        {u.appliance && <Gated danger why={whyNot("admin") ?? (busy ? "An update is under way" : undefined)} onClick={() => ask("restart")}>Restart the machine…</Gated>}
        {u.appliance && <Gated danger why={whyNot("admin") ?? (busy ? "An update is under way" : undefined)} onClick={() => ask("reset")}>Factory reset…</Gated>}
      </div>
      {asked === "install" && <Install here={here} running={u.appliance ? running : undefined} peers={peers} onClose={close} />}
      {asked === "cancel" && <StopSending onClose={close} />}
      {asked === "rollback" && <RollBack other={other!} slots={slots} onClose={close} />}
      {asked === "reset" && <FactoryReset here={here} onClose={close} />}
      {asked === "restart" && <RestartMachine here={here} u={u} onClose={close} />}
    </Card>
  );
}

/** useUpdate is the operation that this tab has begun, or else the youngest that concerns the node. */
function useUpdate(here: string, s: Sending | undefined): Operation | undefined {
  const all = useFeed("/operations").data ?? [];
  const bundles = all.filter((o) => o.kind === "update" && o.to === here && o.steps.some((x) => ["receive", "fetch", "verify"].includes(x.name)));
  const latest = bundles.reduce<Operation | undefined>((a, b) => (!a || b.started > a.started ? b : a), undefined);
  return s?.begun ? all.find((o) => o.id === s.begun!.id) ?? s.begun : latest;
}

function whyNoRollback(u: SlotsNow, other: UpdateSlot | undefined, busy: boolean): string | undefined {
  if (busy) return "An update is under way";
  if (u.next !== u.running) return `Slot ${u.next} starts next already`;
  return other?.standing === "good" ? undefined : `Slot ${other?.name ?? "?"} holds no system that was ever healthy`;
}

const standings: Record<UpdateSlot["standing"], [Tone, string]> = {
  empty: ["idle", "empty"], good: ["ok", "good"], trial: ["self", "on trial: it has yet to show that it is healthy"], failed: ["bad", "never became healthy"],
};

function Both({ u }: { u: SlotsNow }) {
  return (
    <>
      {u.failure && <p class="notice"><Icon name="bad" size={18} /> <span>{u.failure}</span></p>}
      <ul class="steps">
        {u.slots.map((s) => (
          <li key={s.name}>
            <strong>Slot {s.name}</strong>
            <span>{s.release ? <Time at={s.release} /> : "nothing in it"}<small class="quiet-text">{[s.name === u.running && " runs", s.name === u.next && " starts next"].filter(Boolean).join(",")}</small></span>
            <State tone={standings[s.standing][0]}>{standings[s.standing][1]}</State>
          </li>
        ))}
      </ul>
      {u.next !== u.running && <p class="notice below" role="status"><Icon name="warn" size={18} /> <span>Slot {u.next} starts next: restart the machine to change over to it. Until then slot {u.running} goes on.</span></p>}
    </>
  );
}

function Package({ u }: { u: SlotsNow }) {
  return (
    <>
      <p class="quiet-text">Nothing can be installed here from the console: {u.reason || "this host is updated with its package manager"}.</p>
      <Command>apt install ./drawbridge_VERSION_amd64.deb</Command>
      <p class="fine">On the host. It restarts the daemon, which hands over before it stops. A peer that is an appliance can be updated from here.</p>
    </>
  );
}

function RollBack({ other, slots, onClose }: { other: UpdateSlot; slots: Answer<SlotsNow>; onClose: () => void }) {
  return (
    <Confirm
      title={`Go back to slot ${other.name}?`} verb="Roll back" onClose={onClose}
      act={async () => {
        await change("POST /update/rollback", { by: who() });
        await slots.again();
        toast(`Slot ${other.name} starts next`);
      }}
    >
      <p>Slot {other.name}{other.release && <>, of <Time at={other.release} />,</>} starts from the next restart of the machine on. Nothing happens before that. Identity, keys and configuration stay as they are.</p>
    </Confirm>
  );
}

function RestartMachine({ here, u, onClose }: { here: string; u: SlotsNow; onClose: () => void }) {
  return (
    <Confirm
      title={`Restart the machine ${here}?`} verb="Restart the machine" type={here} onClose={onClose}
      act={async () => {
        await change("POST /update/restart", { by: who() });
        toast(`${here} starts again`);
      }}
    >
      <p>The whole machine starts again, with slot {u.next}. {here} hands over its segments first; then it forwards nothing for about a minute, and this page is stale until it is back.</p>
      {u.next !== u.running && <p>Slot {u.next} has two starts and five minutes each to show that it is healthy. Otherwise slot {u.running} starts again.</p>}
    </Confirm>
  );
}
