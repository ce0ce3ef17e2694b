// Segments and their gates: for each both gateways side by side, and why things are as they are.
import { useState } from "preact/hooks";
import type { Event, Gateway, Port, Segment, Status, Takeover } from "../api";
import { Drills } from "../drills";
import { dot, milliseconds } from "../format";
import { useFeed } from "../live";
import { usePlace } from "../route";
import { Ruler } from "../ruler";
import { may, whyNot } from "../session";
import { inMaintenance, MaintenanceDialog, MoveDialog } from "../switchover";
import { Gated } from "../ui/form";
import { GatePicture } from "../ui/gate";
import { Age, Card, Empty, Fact, Facts, Loading, Page, Snippet, State, Time } from "../ui/parts";
import { carrierTone, chain, gatewayTone, gatewayWord, levelTone, moves, quorumLoss, redundancy, regency, tells } from "../words";

export function Segments() {
  const segments = useFeed("/segments");
  const status = useFeed("/status").data;
  const ports = useFeed("/ports").data ?? [];
  const events = useFeed("/events").data ?? [];
  const takeovers = useFeed("/takeovers").data ?? [];
  const { query } = usePlace();
  const only = query.get("name");
  if (!segments.data || !status) return <Page title="Segments"><Loading refused={segments.refused} /></Page>;
  const shown = segments.data.filter((s) => !only || s.name === only);
  return (
    <Page
      title={only ? `Segment ${only}` : "Segments"}
      lead="A segment is a VLAN that gateways bridge to the overlay. At most one of them has its gate open."
      tools={only && segments.data.length > 1 && <a class="button" href="/segments">All segments</a>}
    >
      {segments.data.length === 0
        ? (
          <Empty icon="segment" title="No segment is bridged">
            <p>Give a peer with the role gateway a segment port in its node file, and restart it:</p>
            <Snippet>{"[[segment]]\nname = \"office\"\ninterface = \"eth1\""}</Snippet>
            <p>If there is no such peer yet, <a href="/tokens?new=1">invite a gateway</a>.</p>
          </Empty>
        )
        : shown.length === 0
        ? <Empty icon="segment" title={`There is no segment ${only}`}><a href="/segments">Show those that are</a></Empty>
        : <div class="stack">{shown.map((s) => <One key={s.name} segment={s} status={status} ports={ports} events={events} takeovers={takeovers} />)}</div>}
    </Page>
  );
}

function One({ segment: s, status, ports, events, takeovers }: { segment: Segment; status: Status; ports: Port[]; events: Event[]; takeovers: Takeover[] }) {
  const [dialog, setDialog] = useState<"switchover" | "drill" | Gateway>();
  const shown = typeof dialog === "object" ? s.gateways.find((g) => g.peer === dialog.peer) : undefined;
  const tone = carrierTone(s);
  const last = moves(events, s.name)[0];
  const ours = events.filter((e) => e.segment === s.name).slice(-6).reverse();
  return (
    <Card
      title={s.name} aside={(
        <State tone={tone}>{s.active ? <><b>{s.active}</b>&nbsp;carries it</> : "nobody carries it"}</State>
      )}
    >
      <Facts>
        <Fact name="Since"><Time at={s.since} /> (<Age at={s.since} />)</Fact>
        <Fact name="Why">{chain(s.cause) || <span class="none">not told</span>}</Fact>
        <Fact name="Redundancy">{redundancy(s)}</Fact>
        <Fact name="Without a majority"><QuorumLoss segment={s} /></Fact>
        <Fact name="Rehearsals">{s.next_drill ? <>{s.drill} UTC, the next one <Time at={s.next_drill} /></> : "only by hand"}</Fact>
        <Fact name="Tenure (epoch)"><span class="mono">{s.epoch}</span></Fact>
        <Fact name="Overlay"><span class="mono">{s.overlay}</span>{s.overlay !== String(s.vni) && <>, VNI {s.vni}</>}</Fact>
        <Fact name="Stations"><a href={`/macs?segment=${encodeURIComponent(s.name)}`}>MAC addresses behind it</a></Fact>
      </Facts>
      <div class="gateways">
        {s.gateways.map((g) => (
          <Gate key={g.peer} gateway={g} segment={s} own={g.peer === status.name} port={g.peer === status.name ? ports.find((p) => p.segment === s.name) : undefined}
            takeover={takeovers.find((t) => t.segment === s.name && t.peer === g.peer)} maintain={() => setDialog(g)} />
        ))}
      </div>
      {s.gateways.length > 1 && (
        <div class="card-tools">
          <Gated primary why={whyNot("operator")} onClick={() => setDialog("switchover")}>Switch over…</Gated>
          <Gated why={whyNot("operator")} onClick={() => setDialog("drill")}>Rehearse…</Gated>
        </div>
      )}
      {(dialog === "switchover" || dialog === "drill") && <MoveDialog kind={dialog} segment={s} takeovers={takeovers} onClose={() => setDialog(undefined)} />}
      {shown && <MaintenanceDialog gateway={shown} segment={s} onClose={() => setDialog(undefined)} />}
      <div class="grid inner">
        <section>
          <h3>Last move</h3>
          {last ? <Ruler move={last} /> : <p class="quiet-text">No move is among the events that {status.name} keeps.{s.gateways.length > 1 && " Rehearse… makes two, there and back."}</p>}
        </section>
        <section>
          <h3>What happened to it</h3>
          {ours.length === 0 ? <p class="quiet-text">Nothing that {status.name} remembers. All its events are on the <a href="/timeline">timeline</a>.</p> : (
            <ul class="recent">
              {ours.map((e) => (
                <li key={e.id}>
                  <a href={`/timeline?open=${e.id}`}>
                    <Time at={e.time} millis />
                    <State tone={levelTone(e.level)}><span class="recent-text">{tells(e, true)}{e.reason && <span class="quiet-text">{dot}{chain(e.reason)}</span>}</span></State>
                  </a>
                </li>
              ))}
            </ul>
          )}
        </section>
      </div>
      {s.gateways.length > 1 && <div class="inner"><Drills segment={s.name} /></div>}
    </Card>
  );
}

/** QuorumLoss tells the policy, and beside it whether the gate is open by it just now. */
function QuorumLoss({ segment: s }: { segment: Segment }) {
  const policy = quorumLoss(s);
  const regent = regency(s);
  return (
    <>
      {policy.tone === "idle" ? policy.text : <State tone={policy.tone}>{policy.text}</State>} <span class="mono quiet-text">quorum_loss = {s.quorum_loss ?? "close"}</span>
      {regent && <div><State tone={regent.tone}>{regent.text}</State></div>}
    </>
  );
}

function Gate({ gateway: g, segment: s, own, port, takeover: t, maintain }: {
  gateway: Gateway; segment: Segment; own: boolean; port?: Port; takeover?: Takeover; maintain: () => void;
}) {
  const tone = gatewayTone(g, s);
  return (
    <article class={["gateway-card", own ? "own" : "", g.peer === s.active ? "active" : ""].join(" ")} aria-label={`Gateway ${g.peer}`}>
      <header>
        <strong>{g.peer}{own && <span class="quiet-text">{dot}this node</span>}</strong>
        <State tone={tone}>{gatewayWord(g, s)}</State>
      </header>
      <GatePicture open={g.gate === "open"} from={g.peer} to={s.name} />
      <dl class="lines">
        <div><dt>Gate</dt><dd>{g.gate}{port && port.gate_kind !== "none" && <>, checked {port.gate_kind === "hard" ? "by the kernel" : "by the daemon"}</>}</dd></div>
        <div><dt>Could take over</dt><dd>{g.peer === s.active ? "carries it" : g.ready ? "yes" : "no"}</dd></div>
        {t && t.predicted_ms > 0 && <div><dt>If the other died</dt><dd>open after {milliseconds(t.predicted_ms)}, predicted</dd></div>}
        {t && t.planned_ms > 0 && <div><dt>Switchover to it</dt><dd>holds frames for {milliseconds(t.planned_ms)}</dd></div>}
        {t?.preempts && <div><dt>Takes it back</dt><dd>{t.preempts}</dd></div>}
        {g.mode && <div><dt>Mode</dt><dd>{modeWords(g.mode)}</dd></div>}
        {port && <div><dt>Port</dt><dd><a href={`/ports?open=${encodeURIComponent(port.name)}`}>{port.name}</a>, {port.up ? "up" : "down"}</dd></div>}
      </dl>
      {g.reasons.length > 0 && (
        <div class="why">
          <strong>Why</strong>
          <ul>{g.reasons.map((r) => <li key={r}>{r}</li>)}</ul>
        </div>
      )}
      <div class="card-tools"><button type="button" class="quiet" disabled={!may("operator")} title={whyNot("operator")} onClick={maintain}>{inMaintenance(g) ? "End maintenance…" : "Maintenance…"}</button></div>
    </article>
  );
}

function modeWords(mode: string): string {
  switch (mode) {
    case "auto": return "automatic";
    case "passive": return "passive: never opens";
    case "active-manual": return "active by hand";
    default: return mode;
  }
}
