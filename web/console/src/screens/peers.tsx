import { useState } from "preact/hooks";
import { change } from "../api";
import type { Link, Peer } from "../api";
import { bytes, milliseconds, percent, plural } from "../format";
import { useFeed } from "../live";
import { setQuery } from "../route";
import { may, whyNot } from "../session";
import { Chart, useHistory } from "../ui/chart";
import { Confirm } from "../ui/dialog";
import { Gated } from "../ui/form";
import { Age, Command, Empty, Loading, Page, Problems, State, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";
import { WhoDecides } from "../voters";

const tones: Record<Peer["state"], Tone> = { self: "self", direct: "ok", relayed: "warn", unreachable: "bad", left: "idle" };

function stateWords(p: Peer): string {
  if (p.state === "relayed" && p.via) return `relayed by ${p.via}`;
  if (p.state === "self") return "this node";
  return p.state;
}

const measured = (p: Peer): boolean => p.state === "direct" || p.state === "relayed";

const columns: Column<Peer>[] = [
  { key: "name", title: "Name", value: (p) => p.name },
  { key: "state", title: "Reached", value: stateWords, show: (p) => <State tone={tones[p.state]}>{stateWords(p)}</State> },
  { key: "since", title: "For", value: (p) => p.since, order: (p) => Date.parse(p.since), show: (p) => <Age at={p.since} />, from: "medium" },
  { key: "path", title: "Path", value: (p) => p.path, show: (p) => (p.path === "tcp" ? <State tone="warn">TCP</State> : p.path === "udp" ? "UDP" : <span class="none">–</span>), from: "medium" },
  { key: "rtt_ms", title: "Round trip", value: (p) => p.rtt_ms, number: true, show: (p) => (measured(p) && p.rtt_ms > 0 ? milliseconds(p.rtt_ms) : <span class="none">–</span>) },
  { key: "loss", title: "Loss", value: (p) => p.loss, number: true, show: (p) => (p.state === "direct" ? percent(p.loss) : <span class="none">–</span>), from: "medium" },
  { key: "jitter_ms", title: "Jitter", value: (p) => p.jitter_ms, number: true, show: (p) => (p.state === "direct" ? milliseconds(p.jitter_ms) : <span class="none">–</span>), from: "never" },
  { key: "mtu", title: "MTU", value: (p) => p.mtu, number: true, show: (p) => (p.mtu > 0 ? `${p.mtu}\u202fB` : <span class="none">–</span>), from: "wide" },
  { key: "roles", title: "Roles", value: (p) => p.roles.join(", "), from: "medium" },
  { key: "segments", title: "Gateway of", value: (p) => p.segments.join(", "), from: "wide" },
  { key: "remote", title: "Heard from", value: (p) => p.remote, mono: true, from: "never" },
  { key: "endpoints", title: "Can be called at", value: (p) => p.endpoints.join(", "), mono: true, from: "never" },
  { key: "membership", title: "Failure detection", value: (p) => p.membership, from: "never" },
  { key: "rx_bytes", title: "Received", value: (p) => p.rx_bytes, number: true, show: (p) => `${bytes(p.rx_bytes)} in ${plural(p.rx_frames, "frame")}`, from: "never" },
  { key: "tx_bytes", title: "Sent", value: (p) => p.tx_bytes, number: true, show: (p) => `${bytes(p.tx_bytes)} in ${plural(p.tx_frames, "frame")}`, from: "never" },
  { key: "software", title: "Version", value: (p) => p.software, from: "wide" },
  { key: "id", title: "Key", value: (p) => p.id, mono: true, from: "never" },
];

export function Peers() {
  const peers = useFeed("/peers");
  const links = useFeed("/links").data ?? [];
  const [forget, setForget] = useState<Peer>();
  const rtt = useHistory(peers.data, (p) => p.name, (p) => [p.rtt_ms > 0 && measured(p) ? p.rtt_ms : null]);
  if (!peers.data) return <Page title="Peers"><Loading refused={peers.refused} /></Page>;
  return (
    <Page title="Peers" lead="Who belongs to the network, and how frames reach them from here." tools={may("admin") && <a class="button" href="/tokens?new=1">Invite a peer</a>}>
      <Table
        label="peers" rows={peers.data} columns={columns} id={(p) => p.name} sort="name" file="drawbridge-peers"
        empty={<Empty icon="peers" title="This node knows no peer">Not even itself: its network is still starting. If that lasts, look into its journal: <code>journalctl -u drawbridge</code>.</Empty>}
        detail={(p) => (
          <>
            {p.state !== "self" && <Chart title="Round trip" series={["Round trip"]} history={rtt(p.name)} unit="ms" />}
            <LinkFacts link={links.find((l) => l.peer === p.name)} />
            {p.state === "relayed" && <p class="quiet-text">Frames go {p.via ? `to ${p.via}` : "to others"} and from there on. <a href="/routes">See the route</a></p>}
          </>
        )}
        actions={(p) => p.state !== "self" && <Gated danger why={whyNot("admin")} onClick={() => setForget(p)}>Remove from the network…</Gated>}
      />
      {peers.data.length === 1 && (
        <Empty icon="peers" title="No other peer yet">
          <p>{may("admin") ? <a href="/tokens?new=1">Make a token</a> : `${whyNot("admin")} to make a token.`} Then join with it, on the other host:</p>
          <Command>drawbridge join TOKEN --name NAME</Command>
        </Empty>
      )}
      <div class="below"><WhoDecides /></div>
      {forget && (
        <Confirm
          title={`Remove ${forget.name} from the network?`} verb="Remove" type={forget.name} onClose={() => setForget(undefined)}
          act={async () => {
            await change("DELETE /peers/{name}", undefined, { name: forget.name });
            setQuery({ open: undefined });
            toast(`${forget.name} is removed`);
          }}
        >
          <p>Its certificate is revoked for good. To come back it needs a new identity and a new token.</p>
        </Confirm>
      )}
    </Page>
  );
}

function LinkFacts({ link }: { link?: Link }) {
  if (!link) return null;
  return (
    <>
      {link.problems.length > 0 && <Problems problems={link.problems} />}
      <p class="quiet-text">
        {link.dialled ? "This node called." : "The far end called."} The key of this end is {Math.round(link.key_age_s)} s old.{" "}
        {link.gso && link.gro ? "The kernel joins and cuts datagrams." : "The kernel does not join and cut datagrams: more work for each frame."}
      </p>
    </>
  );
}
