// Addresses that guests are given: who may give which, who has which, and giving them by hand.
import { useMemo, useState } from "preact/hooks";
import { read } from "../api";
import type { Address } from "../api";
import { useAnswer } from "../answer";
import { duration } from "../format";
import { now, useFeed } from "../live";
import { setQuery, usePlace } from "../route";
import { whyNot } from "../session";
import { Gated } from "../ui/form";
import { Command, Copy, Empty, Loading, Page, Snippet, State, Time } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { Ask, Give, Import, Release, Reserve, Story } from "./addresses/deeds";
import { Pool } from "./addresses/pool";

const reservedBy = "reserved "; // how an owner begins for whom an address is kept

/** held is an address that somebody has, also where another peer owns it; who lends it has it once more. */
const held = (a: Address): boolean => a.use === "allocated" || a.use === "borrowed";

/** kindOf is how an address came not to be free, in words that people filter by. */
function kindOf(a: Address): string {
  if (!held(a)) return a.use;
  if (/^(mac|id|duid):/.test(a.owner)) return "DHCP";
  return a.owner.startsWith(reservedBy) ? "reserved" : "by hand";
}

const kinds: Record<string, string> = {
  DHCP: "Given by DHCP", "by hand": "Given by hand", reserved: "Reserved", offered: "Offered, not taken yet",
  lent: "Lent to another peer", returning: "On its way back to its owner", foreign: "Used by somebody who was not given it",
};

const left = (a: Address): number => (a.until ? Date.parse(a.until) - now() : Infinity);
const order = (a: string): number => a.includes(":") ? 0 : a.split(".").reduce((n, part) => n * 256 + Number(part), 0);

const columns: Column<Address>[] = [
  { key: "address", title: "Address", value: (a) => a.address, order: (a) => order(a.address), mono: true },
  { key: "owner", title: "Owner", value: (a) => a.owner, grow: true, show: (a) => <>{a.host ? <><strong>{a.host}</strong> <span class="quiet-text">{a.owner}</span></> : a.owner}</> },
  { key: "kind", title: "Kind", value: kindOf, from: "medium", show: (a) => <State tone={a.use === "foreign" ? "bad" : held(a) ? "ok" : "warn"}>{kindOf(a)}</State> },
  { key: "at", title: "Given by", value: (a) => a.at, from: "medium", show: (a) => <a href={`/peers?open=${encodeURIComponent(a.at)}`}>{a.at}</a> },
  { key: "port", title: "Guest port", value: (a) => a.port, from: "wide" },
  { key: "mac", title: "MAC address", value: (a) => a.mac, mono: true, from: "wide", show: (a) => (a.mac ? <a href={`/macs?q=${encodeURIComponent(a.mac)}`}>{a.mac}</a> : <span class="none">–</span>) },
  { key: "peer", title: "Lent to", value: (a) => a.peer, from: "never" },
  { key: "host", title: "Calls itself", value: (a) => a.host, from: "never" },
  { key: "until", title: "Free in", value: (a) => a.until, order: left, number: true, from: "medium", show: (a) => (a.until ? <span title={new Date(a.until).toISOString()}>{duration(left(a))}</span> : <span class="quiet-text">kept</span>) },
];

type Deed = { what: "give" | "reserve" | "import" | "ask" } | { what: "release"; address: Address };

export function Addresses() {
  const subnets = useFeed("/ipam/subnets");
  const { query } = usePlace();
  const here = query.get("here") === "1", kind = query.get("kind") ?? "";
  const all = useAnswer(() => read("/ipam/addresses", { everywhere: !here }), `addresses ${here}`, 3000);
  const [deed, setDeed] = useState<Deed>();
  const subnet = query.get("subnet") ?? "";
  const within = subnets.data?.find((s) => s.subnet === subnet);
  const keep = useMemo(() => (a: Address) => (!kind || kindOf(a) === kind) && (!within || inside(within.subnet, a.address)), [kind, within?.subnet]);
  const lead = "Every peer owns part of each subnet and gives addresses of it without asking, so guests get theirs while the network is in pieces.";
  if (!subnets.data) return <Page title="Addresses" lead={lead}><Loading refused={subnets.refused} /></Page>;
  if (subnets.data.length === 0) return <Page title="Addresses" lead={lead}><NoSubnet /></Page>;
  const locked = whyNot("operator");
  const done = async () => {
    setDeed(undefined);
    await all.again();
  };
  return (
    <Page
      title="Addresses" lead={lead}
      tools={(
        <>
          <Gated onClick={() => setDeed({ what: "ask" })}>Why an address…</Gated>
          <Gated why={locked} onClick={() => setDeed({ what: "import" })}>Import…</Gated>
          <Gated why={locked} onClick={() => setDeed({ what: "reserve" })}>Reserve…</Gated>
          <Gated primary why={locked} onClick={() => setDeed({ what: "give" })}>Give an address…</Gated>
        </>
      )}
    >
      <div class="stack">
        {subnets.data.map((s) => <Pool key={s.subnet} subnet={s} used={all.data ?? []} />)}
        <section aria-labelledby="given">
          <h2 id="given" class="section-title">Addresses that are not free</h2>
          {!all.data ? <Loading refused={all.refused} /> : (
            <Table
              label="addresses" one="address" rows={all.data} columns={columns} id={(a) => `${a.address} ${a.at} ${a.use}`} name={(a) => a.address} sort="address" file="drawbridge-addresses" keep={keep}
              empty={<Empty icon="addresses" title="All addresses are free">A guest gets one as soon as it asks by DHCP at a guest port. For a host that cannot ask, give one by hand, above.</Empty>}
              filters={(
                <div class="filters">
                  <label><span class="hidden">Kind</span>
                    <select value={kind} onChange={(e) => setQuery({ kind: e.currentTarget.value })}>
                      <option value="">Every kind</option>
                      {Object.entries(kinds).map(([k, words]) => <option key={k} value={k}>{words}</option>)}
                    </select>
                  </label>
                  {subnets.data.length > 1 && (
                    <label><span class="hidden">Subnet</span>
                      <select value={subnet} onChange={(e) => setQuery({ subnet: e.currentTarget.value })}>
                        <option value="">Every subnet</option>
                        {subnets.data.map((s) => <option key={s.subnet} value={s.subnet}>{s.subnet}</option>)}
                      </select>
                    </label>
                  )}
                  <label><span class="hidden">Peers</span>
                    <select value={here ? "1" : ""} onChange={(e) => setQuery({ here: e.currentTarget.value })}>
                      <option value="">All peers</option>
                      <option value="1">This node</option>
                    </select>
                  </label>
                </div>
              )}
              detail={(a) => (
                <>
                  <p class="quiet-text">{kinds[kindOf(a)] ?? a.use}{a.use === "borrowed" && ", borrowed from the peer that owns its block"}{a.until ? <>; free at <Time at={a.until} /> unless it is asked for again.</> : <>; kept until it is released.</>}</p>
                  <h3>Why</h3>
                  <Story address={a.address} />
                </>
              )}
              actions={(a) => (
                <>
                  <Copy text={a.address} label="Copy address" />
                  {held(a) && <Gated danger why={locked} onClick={() => setDeed({ what: "release", address: a })}>Release…</Gated>}
                </>
              )}
            />
          )}
        </section>
      </div>
      {deed?.what === "give" && <Give subnets={subnets.data} done={done} onClose={() => setDeed(undefined)} />}
      {deed?.what === "reserve" && <Reserve done={done} onClose={() => setDeed(undefined)} />}
      {deed?.what === "import" && <Import done={() => void all.again()} onClose={() => setDeed(undefined)} />}
      {deed?.what === "ask" && <Ask onClose={() => setDeed(undefined)} />}
      {deed?.what === "release" && <Release address={deed.address} done={done} onClose={() => setDeed(undefined)} />}
    </Page>
  );
}

function inside(subnet: string, address: string): boolean {
  const [base, bits] = subnet.split("/") as [string, string];
  if (base.includes(":") || address.includes(":")) return base.includes(":") && address.includes(":");
  const size = 2 ** (32 - Number(bits));
  return Math.floor(order(address) / size) === Math.floor(order(base) / size);
}

const example = `[[subnet]]
cidr = "10.32.0.0/16"
overlay = "lan"
reserved = ["10.32.0.1-10.32.0.99"]
router = "10.32.0.1"`;

function NoSubnet() {
  return (
    <Empty icon="addresses" title="No subnet is configured">
      <p>Add a subnet to the <a href="/config">network configuration</a>, and every peer gives its guests addresses by DHCP. It looks like this, with an overlay of your own:</p>
      <Snippet>{example}</Snippet>
      <p>Or in a terminal:</p>
      <Command>drawbridge config edit</Command>
    </Empty>
  );
}
