// The loop microscope: which frames come round, between which ports, how often and since when.
import type { Circle, LoopEnd } from "./api";
import { count } from "./format";
import { useFeed } from "./live";
import { Age, Card, Problems, State } from "./ui/parts";

const place = (e: LoopEnd): string => (e.at === "segment" ? `segment ${e.segment}` : e.at === "port" ? `port ${e.port}` : `peer ${e.peer}`);

const types: Record<string, string> = { "0800": "IPv4", "0806": "ARP", "86dd": "IPv6", "8100": "VLAN-tagged" };

export function Loops() {
  const l = useFeed("/loops").data;
  if (!l || (l.circles.length === 0 && l.blocked.length === 0)) return null;
  return (
    <Card title="Loop microscope" aside={l.circling ? <State tone="bad">frames go round</State> : <State tone="idle">nothing goes round now</State>}>
      {l.circling && <Problems tone="bad" problems={[{ summary: "Frames come in where they cannot have come from; each copy is dropped", remedy: l.remedy }]} />}
      <ul class="steps below">{l.circles.slice(0, 20).map((c) => <Row key={[c.source, c.destination, c.type, place(c.heard), place(c.known)].join()} c={c} />)}</ul>
      {l.circles.length > 20 && <p class="fine">{count(l.circles.length - 20)} more: drawbridge loops</p>}
      {l.blocked.length > 0 && <div class="below"><Problems tone="bad" problems={l.blocked} /></div>}
    </Card>
  );
}

function Row({ c }: { c: Circle }) {
  return (
    <li>
      <span><a class="mono" href={`/macs?find=${encodeURIComponent(c.source)}`}>{c.source}</a> <small class="quiet-text">{types[c.type] ?? `type ${c.type}`} to <span class="mono">{c.destination}</span></small></span>
      <span>comes in at <b>{place(c.heard)}</b>, speaks at <b>{place(c.known)}</b></span>
      <State tone={c.circling ? "bad" : "idle"}>{count(c.count)} copies, {c.per_second.toFixed(1)} a second, since <Age at={c.since} />{!c.circling && <>, the last <Age at={c.last} /> ago</>}</State>
    </li>
  );
}
