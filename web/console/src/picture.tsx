// The network as one picture with a fixed meaning: peers left, gateways in the middle, VLANs right (above, between and below
// where there is no room). Places depend on names alone, so nothing moves between two visits. A gate is a drawbridge: down
// and closed to the wire when frames cross, up when they do not.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Gateway, MAC, Peer, Segment, Status } from "./api";
import { dot, list, milliseconds, natural, plural } from "./format";
import { gatewayWord } from "./words";

interface Place {
  x: number;
  y: number;
}

interface Box extends Place {
  peer: string;
  w: number;
  h: number;
}

interface Gate extends Box {
  segment: Segment;
  gateway: Gateway;
}

interface Rail {
  segment: Segment;
  from: Place;
  to: Place;
  stations: MAC[];
}

interface Plan {
  width: number;
  height: number;
  upright: boolean; // peers above, VLANs below
  peers: Box[];
  gates: Gate[];
  rails: Rail[];
}

const upTo = 620; // px: below, the picture is upright

interface Props {
  status: Status;
  peers: Peer[];
  segments: Segment[];
  macs: MAC[];
}

export function Picture(p: Props) {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(() => setWidth(ref.current?.clientWidth ?? 0));
    watcher.observe(ref.current!);
    setWidth(ref.current!.clientWidth);
    return () => watcher.disconnect();
  }, []);
  return (
    <div class="picture" ref={ref}>
      {width > 0 && <Drawing plan={width < upTo ? upright(p, width) : across(p, width)} {...p} />}
      <Legend />
    </div>
  );
}

const plain = (p: Props): Peer[] => p.peers.filter((x) => x.state !== "left" && !p.segments.some((s) => s.gateways.some((g) => g.peer === x.name)))
  .sort((a, b) => natural(a.name, b.name));

const stationsOf = (p: Props, s: Segment): MAC[] => p.macs.filter((m) => m.at === "segment" && m.segment === s.name);

const shownStations = 4;

/** across is the wide picture. */
function across(p: Props, width: number): Plan {
  const peers = plain(p);
  const gateW = 132, gateH = 58, gap = 40;
  const rows = p.segments.map((s) => Math.max(s.gateways.length * (gateH + gap) + gap, (Math.min(stationsOf(p, s).length, shownStations) + 2) * 26 + gap));
  const columns = peers.length > 12 ? Math.ceil(peers.length / 12) : 1;
  const perColumn = Math.ceil(peers.length / columns);
  const height = Math.max(rows.reduce((a, b) => a + b, 0), perColumn * 46 + 40, 200);
  const peerW = columns > 2 ? 72 : 92, peerH = 34;
  const boxes = peers.map((peer, i) => {
    const column = Math.floor(i / perColumn), n = Math.min(perColumn, peers.length - column * perColumn), k = i % perColumn;
    const t = n > 1 ? (2 * k) / (n - 1) - 1 : 0; // -1 to 1 from the top
    const bulge = columns === 1 ? 70 * t * t : 0;
    const spread = (height - 56) / Math.max(n, 1);
    return { peer: peer.name, w: peerW, h: peerH, x: 34 + peerW / 2 + column * (peerW + 16) + bulge, y: 28 + spread * (k + 0.5) };
  });
  const gateX = width * 0.56;
  const railX = Math.min(width - 210, width * 0.56 + gateW / 2 + Math.max(110, width * 0.12));
  let y = (height - rows.reduce((a, b) => a + b, 0)) / 2;
  const gates: Gate[] = [], rails: Rail[] = [];
  p.segments.forEach((s, i) => {
    const row = rows[i]!;
    const block = s.gateways.length * (gateH + gap) - gap;
    [...s.gateways].sort((a, b) => natural(a.peer, b.peer)).forEach((g, k) => {
      gates.push({ peer: g.peer, gateway: g, segment: s, w: gateW, h: gateH, x: gateX, y: y + (row - block) / 2 + gateH / 2 + k * (gateH + gap) });
    });
    rails.push({ segment: s, stations: stationsOf(p, s), from: { x: railX, y: y + 16 }, to: { x: railX, y: y + row - 16 } });
    y += row;
  });
  return { width, height, upright: false, peers: boxes, gates, rails };
}

/** upright is the picture for a phone. */
function upright(p: Props, width: number): Plan {
  const peers = plain(p);
  const perRow = Math.max(2, Math.min(peers.length, Math.floor(width / 92)));
  const peerW = Math.min(92, (width - 24) / perRow - 10), peerH = 34;
  const boxes = peers.map((peer, i) => {
    const row = Math.floor(i / perRow), n = Math.min(perRow, peers.length - row * perRow), k = i % perRow;
    return { peer: peer.name, w: peerW, h: peerH, x: (width * (k + 0.5)) / n, y: 56 + row * 52 };
  });
  let y = 56 + Math.ceil(peers.length / perRow) * 52 + 56;
  const gates: Gate[] = [], rails: Rail[] = [];
  for (const s of p.segments) {
    const n = s.gateways.length, gateW = Math.min(132, (width - 24) / Math.max(n, 1) - 14);
    [...s.gateways].sort((a, b) => natural(a.peer, b.peer)).forEach((g, k) => {
      gates.push({ peer: g.peer, gateway: g, segment: s, w: gateW, h: 58, x: (width * (k + 0.5)) / n, y });
    });
    const railY = y + 29 + 74, stations = stationsOf(p, s);
    rails.push({ segment: s, stations, from: { x: 16, y: railY }, to: { x: width - 16, y: railY } });
    y = railY + 34 + Math.min(stations.length, shownStations + 1) * 24 + 66;
  }
  return { width, height: y - 60, upright: true, peers: boxes, gates, rails };
}

function Drawing({ plan, status, peers, segments }: Props & { plan: Plan }) {
  const at = new Map<string, Box>();
  for (const b of [...plan.gates, ...plan.peers].reverse()) at.set(b.peer, b);
  return (
    <svg width={plan.width} height={plan.height} viewBox={`0 0 ${plan.width} ${plan.height}`} role="img" aria-label={inWords(status, peers, segments)}>
      <Overlay plan={plan} />
      {peers.filter((x) => x.state !== "self" && x.state !== "left").map((x) => {
        const from = at.get(x.state === "relayed" && x.via ? x.via : status.name), to = at.get(x.name);
        return from && to && <Link key={x.name} peer={x} from={from} to={to} upright={plan.upright} />;
      })}
      {plan.rails.map((r) => <VLAN key={r.segment.name} rail={r} upright={plan.upright} width={plan.width} />)}
      {plan.gates.map((g) => <Bridge key={g.segment.name + g.peer} gate={g} rail={plan.rails.find((r) => r.segment === g.segment)!} upright={plan.upright} />)}
      {plan.gates.map((g) => <Node key={g.segment.name + g.peer} box={g} own={g.peer === status.name} peer={peers.find((x) => x.name === g.peer)} word={gatewayWord(g.gateway, g.segment)} active={g.segment.active === g.peer} />)}
      {plan.peers.map((b) => <Node key={b.peer} box={b} own={b.peer === status.name} peer={peers.find((x) => x.name === b.peer)} />)}
    </svg>
  );
}

function Overlay({ plan }: { plan: Plan }) {
  const all = [...plan.peers, ...plan.gates];
  if (all.length === 0) return null;
  if (plan.upright) {
    const bottom = plan.gates.length > 0 ? Math.min(...plan.gates.map((b) => b.y)) : plan.height;
    return <g class="overlay"><rect x="4" y="6" width={plan.width - 8} height={bottom - 6} rx="18" /><text x="18" y="24">overlay</text></g>;
  }
  const right = plan.gates.length > 0 ? plan.gates[0]!.x : plan.width - 20;
  return <g class="overlay"><rect x="4" y="4" width={right - 4} height={plan.height - 8} rx="18" /><text x="20" y="26">overlay</text></g>;
}

function Link({ peer, from, to, upright }: { peer: Peer; from: Box; to: Box; upright: boolean }) {
  const kind = peer.state === "unreachable" ? "lost" : peer.state === "relayed" ? "relayed" : peer.path === "tcp" ? "tcp" : "direct";
  const same = upright ? Math.abs(from.y - to.y) < 4 : Math.abs(from.x - to.x) < 40;
  const bend = same ? (upright ? { x: 0, y: 26 } : { x: from.x < 300 ? 60 : -50, y: 0 }) : { x: 0, y: 0 };
  const mid = { x: (from.x + to.x) / 2 + bend.x, y: (from.y + to.y) / 2 + bend.y };
  return (
    <g class={`edge ${kind}`}>
      <path d={`M${from.x} ${from.y}Q${mid.x} ${mid.y} ${to.x} ${to.y}`} />
      {kind === "lost" && <path class="cross" d={`M${mid.x - 5} ${mid.y - 5}l10 10m0-10-10 10`} />}
    </g>
  );
}

function Node({ box: b, own, peer, word, active }: { box: Box; own: boolean; peer?: Peer; word?: string; active?: boolean }) {
  const lost = peer?.state === "unreachable";
  const sub = lost ? "unreachable" : word ?? (own ? "this node" : peer?.state === "relayed" ? `via ${peer.via ?? "others"}` : peer && peer.rtt_ms > 0 ? milliseconds(peer.rtt_ms) : "");
  const fits = Math.floor((b.w - 16) / 8);
  const name = b.peer.length > fits ? b.peer.slice(0, fits - 1) + "…" : b.peer;
  return (
    <g class={["node", word ? "gateway" : "", own ? "own" : "", active ? "active" : "", lost ? "lost" : ""].join(" ")}>
      <title>{b.peer}</title>
      <rect x={b.x - b.w / 2} y={b.y - b.h / 2} width={b.w} height={b.h} rx={word ? 10 : 17} />
      {own && <path class="own-mark" d={`M${b.x - b.w / 2 + 12} ${b.y - b.h / 2 - 8}l6 8h-12z`} />}
      {b.h > 40
        ? <><text class="name" x={b.x} y={b.y - 4}>{name}</text><text class="sub" x={b.x} y={b.y + 15}>{own ? word + dot + "you" : word}</text></>
        : <><text class="name" x={b.x} y={b.y + (sub ? -1 : 5)}>{name}</text>{sub && <text class="sub small" x={b.x} y={b.y + 11}>{sub}</text>}</>}
    </g>
  );
}

/** Bridge is a gate between a gateway and its wire. */
function Bridge({ gate: g, rail, upright }: { gate: Gate; rail: Rail; upright: boolean }) {
  const open = g.gateway.gate === "open";
  const from = upright ? { x: g.x, y: g.y + g.h / 2 } : { x: g.x + g.w / 2, y: g.y };
  const to = upright ? { x: g.x, y: rail.from.y } : { x: rail.from.x, y: g.y };
  const length = upright ? to.y - from.y : to.x - from.x;
  const deck = open ? length : Math.min(length * 0.7, 46);
  const turn = open ? 0 : upright ? -78 : -64;
  const base = upright ? 90 : 0;
  const left = upright && from.x > rail.to.x * 0.6; // there is no room at its right
  const label = upright ? { x: from.x + (left ? -12 : 12), y: from.y + length / 2 + 12 } : { x: from.x + length / 2, y: from.y + 21 };
  return (
    <g class={open ? "bridge open" : "bridge shut"}>
      {open
        ? <path class="road" d={`M${from.x} ${from.y}L${to.x} ${to.y}`} />
        : <path class="stump" d={upright ? `M${to.x - 8} ${to.y - 9}h16` : `M${to.x - 9} ${to.y - 8}v16`} />}
      <g transform={`translate(${from.x} ${from.y}) rotate(${base})`}>
        <g class="deck" style={{ transform: `rotate(${turn}deg)` }}><path d={`M0 0H${deck}`} /></g>
      </g>
      <circle class="hinge" cx={from.x} cy={from.y} r="5" />
      <text class="gate-word" x={label.x} y={label.y} text-anchor={!upright ? "middle" : left ? "end" : "start"}>{upright ? "" : "gate "}{open ? "open" : "shut"}</text>
    </g>
  );
}

function VLAN({ rail: r, upright, width }: { rail: Rail; upright: boolean; width: number }) {
  const shown = r.stations.slice(0, shownStations), more = r.stations.length - shown.length;
  const lines = [...shown.map((m) => m.mac), ...(more > 0 ? [`and ${plural(more, "more station")}`] : [])];
  if (upright) {
    return (
      <g class="vlan">
        <path class="rail" d={`M${r.from.x} ${r.from.y}H${r.to.x}`} />
        <text class="vlan-name" x={r.from.x} y={r.from.y + 24}>{r.segment.name}</text>
        <text class="vlan-count" x={width - 16} y={r.from.y + 24} text-anchor="end">{stations(r)}</text>
        {lines.map((l, i) => <text key={l} class="station" x={r.from.x} y={r.from.y + 48 + i * 24}>{l}</text>)}
      </g>
    );
  }
  const x = r.from.x, top = (r.from.y + r.to.y) / 2 - (lines.length * 26 + 40) / 2;
  return (
    <g class="vlan">
      <path class="rail" d={`M${x} ${r.from.y}V${r.to.y}`} />
      <text class="vlan-name" x={x + 20} y={top + 16}>{r.segment.name}</text>
      <text class="vlan-count" x={x + 20} y={top + 35}>{stations(r)}</text>
      {lines.map((l, i) => (
        <g key={l}>
          <path class="drop" d={`M${x} ${top + 56 + i * 26}h14`} />
          <text class="station" x={x + 20} y={top + 60 + i * 26}>{l}</text>
        </g>
      ))}
    </g>
  );
}

const stations = (r: Rail): string => (r.stations.length === 0 ? "no station seen" : plural(r.stations.length, "station") + " seen");

function Legend() {
  return (
    <ul class="legend">
      <li><svg width="30" height="10" aria-hidden="true" class="edge direct"><path d="M1 5H29" /></svg> direct</li>
      <li><svg width="30" height="10" aria-hidden="true" class="edge tcp"><path d="M1 5H29" /></svg> direct, over TCP</li>
      <li><svg width="30" height="10" aria-hidden="true" class="edge relayed"><path d="M1 5H29" /></svg> relayed</li>
      <li><svg width="30" height="10" aria-hidden="true" class="edge lost"><path d="M1 5H29" /></svg> unreachable</li>
    </ul>
  );
}

/** inWords is the picture for those who do not see it. */
function inWords(status: Status, peers: Peer[], segments: Segment[]): string {
  const named = (state: Peer["state"]) => peers.filter((p) => p.state === state).map((p) => p.name);
  const parts = [`Network ${status.network.name} as ${status.name} sees it.`];
  if (named("direct").length) parts.push(`Linked directly to ${list(named("direct"))}.`);
  for (const p of peers.filter((x) => x.state === "relayed")) parts.push(`${p.name} is reached through ${p.via ?? "others"}.`);
  if (named("unreachable").length) parts.push(`Unreachable: ${list(named("unreachable"))}.`);
  for (const s of segments) parts.push(`Segment ${s.name}: ${list(s.gateways.map((g) => `${g.peer} is ${gatewayWord(g, s)}, its gate is ${g.gate}`))}.`);
  return parts.join(" ");
}
