// The loop microscope: which frames come round, between which ports, how often and since when.
import type { Circle, LoopEnd, PeerLoops } from "./api";
import { count, duration, plural } from "./format";
import { useFeed } from "./live";
import { Age, Card, Problems, State } from "./ui/parts";

const place = (e: LoopEnd): string =>
  e.at === "segment" ? `segment ${e.segment}` : e.at === "port" ? `port ${e.port}${e.peer ? ` of ${e.peer}` : ""}` : `peer ${e.peer}`;

const types: Record<string, string> = { "0800": "IPv4", "0806": "ARP", "86dd": "IPv6", "8100": "VLAN-tagged" };

// What peers elsewhere heard once or twice, as after a move, is counted and not shown: it is theirs to look at.
const loops = (p: PeerLoops): Circle[] => p.circles.filter((c) => c.loop);

// shown is how many kinds of frames one peer's list has.
const shown = 20;

export function Loops() {
  const l = useFeed("/loops").data;
  if (!l) return null;
  const heard = l.elsewhere.filter((p) => loops(p).length > 0);
  if (l.circles.length + l.blocked.length + heard.length === 0) return null;
  const circling = l.circling || heard.some((p) => p.circling);
  return (
    <Card title="Loop microscope" aside={circling ? <State tone="bad">frames go round</State> : <State tone="idle">nothing goes round now</State>}>
      {l.remedy && <Problems tone="bad" problems={[{ summary: "Frames come in where they cannot have come from; each copy is dropped", remedy: l.remedy }]} />}
      {l.circles.length > 0 && <h3 class="below">As this node hears</h3>}
      <Circles all={l.circles} more={0} />
      {heard.map((p) => (
        <div key={p.peer}>
          <h3 class="below">As {p.peer} hears <small class="quiet-text">told {duration(p.age_s * 1000)} ago</small></h3>
          <Circles all={loops(p)} more={p.circles.length - loops(p).length + (p.left_out ?? 0)} />
        </div>
      ))}
      <Silent all={l.elsewhere} />
      {l.blocked.length > 0 && <div class="below"><Problems tone="bad" problems={l.blocked} /></div>}
    </Card>
  );
}

function Circles({ all, more }: { all: Circle[]; more: number }) {
  const left = Math.max(0, all.length - shown) + more;
  return (
    <>
      {all.length > 0 && <ul class="steps rounds">{all.slice(0, shown).map((c) => <Row key={[c.source, c.destination, c.type, c.vni, place(c.heard), place(c.known)].join()} c={c} />)}</ul>}
      {left > 0 && <p class="fine">{count(left)} more: drawbridge loops</p>}
    </>
  );
}

// Who has not told is named: nobody knows what comes round there.
function Silent({ all }: { all: PeerLoops[] }) {
  const silent = all.filter((p) => p.silent);
  const told = all.length - silent.length;
  return (
    <>
      {silent.map((p) => <p key={p.peer} class="fine">{p.peer} {p.age_s > 0 ? `has not told what it hears for ${duration(p.age_s * 1000)}` : "never told what it hears"}.</p>)}
      {told > 0 && <p class="fine">{plural(told, "other peer has", "other peers have")} told what {told === 1 ? "it hears" : "they hear"}.</p>}
    </>
  );
}

function Row({ c }: { c: Circle }) {
  return (
    <li>
      <span><a class="mono" href={`/macs?find=${encodeURIComponent(c.source)}`}>{c.source}</a> <small class="quiet-text">{types[c.type] ?? `type ${c.type}`} to <span class="mono">{c.destination}</span></small></span>
      <span>comes in at <b>{place(c.heard)}</b>, speaks at <b>{place(c.known)}</b></span>
      <State tone={c.circling ? "bad" : "idle"}>{plural(c.count, "copy", "copies")}, {c.per_second.toFixed(1)} a second, since <Age at={c.since} />{!c.circling && <>, the last <Age at={c.last} /> ago</>}</State>
    </li>
  );
}
