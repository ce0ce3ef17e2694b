// One subnet: how full it is, and a map of who may give which part.
import type { Address, Subnet, SubnetPeer } from "../../api";
import { count, duration, percent, plural } from "../../format";
import { Icon } from "../../ui/icons";
import { Card, Fact, Facts, State } from "../../ui/parts";

interface Range {
  from: number;
  size: number; // addresses
}

/** range is the addresses of an IPv4 prefix; of others there is no map. */
function range(prefix: string): Range | undefined {
  const [base, bits] = prefix.split("/") as [string, string];
  if (base.includes(":")) return undefined;
  return { from: base.split(".").reduce((n, part) => n * 256 + Number(part), 0), size: 2 ** (32 - Number(bits)) };
}

const dotted = (n: number): string => [24, 16, 8, 0].map((s) => Math.floor(n / 2 ** s) % 256).join(".");

const mostCells = 256;
const looks = 8; // that many owners look different; beyond, the name tells them apart

interface Cell {
  prefix: string;
  owner: string;
  used: number;
  mixed: boolean; // a cell of a large subnet may have parts of several
}

/** cells cut a subnet into as many equal parts as can be seen, none smaller than what somebody owns. */
function cells(s: Subnet, used: Address[]): Cell[] {
  const whole = range(s.subnet);
  if (!whole) return [];
  const parts = s.ring.map((r) => ({ ...range(r.prefix)!, owner: r.peer })).sort((a, b) => a.from - b.from);
  const smallest = Math.min(whole.size, ...parts.map((p) => p.size));
  const size = Math.max(Math.min(smallest, whole.size / 16), whole.size / mostCells, 1);
  const out: Cell[] = [];
  for (let from = whole.from; from < whole.from + whole.size; from += size) {
    const here = parts.filter((p) => p.from < from + size && p.from + p.size > from);
    const owners = [...new Set(here.map((p) => p.owner))];
    out.push({ prefix: `${dotted(from)}/${32 - Math.log2(size)}`, owner: owners[0] ?? "", used: 0, mixed: owners.length > 1 });
  }
  const seen = new Set<string>();
  for (const a of used) {
    const at = range(a.address + "/32");
    if (!at || seen.has(a.address)) continue;
    seen.add(a.address);
    const c = out[Math.floor((at.from - whole.from) / size)];
    if (c && at.from >= whole.from) c.used++;
  }
  return out;
}

/** soonest is when the first peer has no address left at the present rate, in seconds; 0: never. */
const soonest = (peers: SubnetPeer[]): number => peers.reduce((s, p) => (p.dry_s && (!s || p.dry_s < s) ? p.dry_s : s), 0);

const shortly = 3600; // seconds to exhaustion that are a warning

export function Pool({ subnet: s, used }: { subnet: Subnet; used: Address[] }) {
  const owners = [...new Set([...s.peers.map((p) => p.peer), ...s.ring.map((r) => r.peer)].filter(Boolean))].sort();
  const look = (owner: string): string => (owner ? `own-${owners.indexOf(owner) % looks}` : "own-none");
  const map = cells(s, used);
  const whole = range(s.subnet)?.size ?? 0;
  const dry = soonest(s.peers);
  const given = map.reduce((n, c) => n + c.used, 0);
  return (
    <Card title={s.subnet} aside={<span class="aside">{s.overlays.length > 0 ? `overlay ${s.overlays.join(", ")}` : "not in the configuration any more; kept for those who have its addresses"}</span>}>
      {!s.able && <p class="notice"><State tone="warn">This node gives no addresses of it</State> {s.reason}</p>}
      <Facts>
        <Fact name="Not free, at all peers">{plural(given, "address", "addresses")}{whole > 0 && ` of ${count(whole)}, ${percent(given / whole)}`}</Fact>
        <Fact name="Free">{plural(s.free_everywhere, "address", "addresses")}, {count(s.free)} of them here</Fact>
        <Fact name="Lasts">{dry ? <State tone={dry < shortly ? "bad" : "warn"}>{duration(dry * 1000)} at the present rate</State> : <State tone="ok">no end in sight</State>}</Fact>
        <Fact name="On their way">{s.unreceived + s.waiting === 0 ? "no donation in flight" : [s.unreceived > 0 && `${plural(s.unreceived, "block")} to this node`, s.waiting > 0 && `${plural(s.waiting, "request")} here wait for others`].filter(Boolean).join(", ")}</Fact>
        {s.server && <Fact name="DHCP server, on every peer"><code>{s.server}</code></Fact>}
      </Facts>
      {map.length > 0 && (
        <>
          <div class={map.length > 64 ? "pool fine-grained" : "pool"} role="img" aria-label={`Map of ${s.subnet}: ${owners.map((o) => `${o} owns ${plural(map.filter((c) => c.owner === o).length, "part")}`).join(", ")} of ${map.length}. The table below has the same in words.`}>
            {map.map((c) => (
              <span key={c.prefix} class={`cell ${look(c.owner)}`} title={`${c.prefix}: ${c.mixed ? "several owners, first " : ""}${c.owner || "nobody's yet"}; ${plural(c.used, "address", "addresses")} not free`}>
                <span class="cell-name">{c.owner || "–"}</span>
                {c.used > 0 && <span class="cell-used">{count(c.used)}</span>}
              </span>
            ))}
          </div>
          <p class="fine">Each square is {plural(whole / map.length, "address", "addresses")}, named by its owner; the number is of those that are not free.</p>
        </>
      )}
      <div class="owners-frame" tabIndex={0} role="region" aria-label={`Owners of ${s.subnet}`}>
        <table class="owners">
          <thead><tr><th scope="col">Owner</th><th scope="col">Blocks</th><th scope="col" class="number">Share</th><th scope="col" class="number">Free addresses</th><th scope="col" class="number">Empty blocks</th><th scope="col" class="number">Lasts</th></tr></thead>
          <tbody>{owners.map((o) => <Owner key={o} name={o} look={look(o)} subnet={s} whole={whole} />)}</tbody>
        </table>
      </div>
      {s.ring.length === 0 && <p class="fine"><Icon name="warn" size={16} /> Nobody owns a part yet: it is divided as soon as a guest asks, or an address is given by hand.</p>}
    </Card>
  );
}

const namedBlocks = 4;

function Owner({ name, look, subnet: s, whole }: { name: string; look: string; subnet: Subnet; whole: number }) {
  const blocks = s.ring.filter((r) => r.peer === name).map((r) => r.prefix);
  const told = s.peers.find((p) => p.peer === name);
  const size = blocks.reduce((n, b) => n + (range(b)?.size ?? 0), 0);
  return (
    <tr>
      <th scope="row"><span class={`swatch ${look}`} aria-hidden="true" /> <a href={`/peers?open=${encodeURIComponent(name)}`}>{name}</a></th>
      <td class="blocks">{blocks.slice(0, namedBlocks).map((b) => <code key={b}>{b}</code>)}{blocks.length > namedBlocks && <span title={blocks.join(", ")}> and {count(blocks.length - namedBlocks)} more</span>}{blocks.length === 0 && <span class="none">none</span>}</td>
      <td class="number">{whole > 0 ? percent(size / whole) : "–"}</td>
      <td class="number">{told ? count(told.free) : <span class="none">not heard</span>}</td>
      <td class="number">{told ? count(told.free_blocks) : <span class="none">–</span>}</td>
      <td class="number">{told?.dry_s ? duration(told.dry_s * 1000) : <span class="quiet-text">no end in sight</span>}</td>
    </tr>
  );
}
