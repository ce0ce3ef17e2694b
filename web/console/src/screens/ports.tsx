import { useState } from "preact/hooks";
import { change } from "../api";
import type { Port } from "../api";
import { bitRate, bytes, count, plural } from "../format";
import { useFeed } from "../live";
import { who, whyNot } from "../session";
import { Chart, rates, useHistory } from "../ui/chart";
import { Confirm } from "../ui/dialog";
import { Gated } from "../ui/form";
import { Age, Empty, Loading, Page, Problems, Snippet, State, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";
import { Loops } from "../loops";
import { kindWords } from "../words";

const drops = (p: Port): number => Object.values(p.drops).reduce((a, b) => a + b, 0);

function gate(p: Port): { word: string; tone: Tone } {
  if (p.blocked) return { word: "blocked", tone: "bad" };
  if (p.gate === "none") return { word: "no gate", tone: "idle" };
  return p.gate === "open" ? { word: "open", tone: "ok" } : { word: "shut", tone: "idle" };
}

const columns: Column<Port>[] = [
  { key: "name", title: "Port", value: (p) => p.name },
  { key: "up", title: "State", value: (p) => (p.up ? "up" : "down"), show: (p) => <State tone={p.up ? (p.problems.length > 0 ? "warn" : "ok") : "bad"}>{p.up ? "up" : "down"}</State> },
  { key: "kind", title: "For", value: (p) => (p.kind === "segment" ? `segment ${p.segment ?? ""}` : "guests"), from: "medium" },
  { key: "gate", title: "Gate", value: (p) => gate(p).word, show: (p) => <State tone={gate(p).tone}>{gate(p).word}</State> },
  { key: "macs", title: "Stations", value: (p) => p.macs, number: true, from: "medium", show: (p) => <a href={`/macs?port=${encodeURIComponent(p.name)}`}>{count(p.macs)}</a> },
  { key: "rx_bytes", title: "Received", value: (p) => p.rx_bytes, number: true, show: (p) => bytes(p.rx_bytes), from: "wide" },
  { key: "tx_bytes", title: "Sent", value: (p) => p.tx_bytes, number: true, show: (p) => bytes(p.tx_bytes), from: "wide" },
  { key: "dropped", title: "Dropped", value: drops, number: true, show: (p) => plural(drops(p), "frame"), from: "wide" },
  { key: "since", title: "For", value: (p) => p.since, order: (p) => Date.parse(p.since), show: (p) => <Age at={p.since} />, from: "never" },
  { key: "interface", title: "Interface", value: (p) => p.interface + (p.vlan ? `, VLAN ${p.vlan} tagged` : ""), from: "never" },
  { key: "bridge", title: "Bridge", value: (p) => p.bridge, from: "never" },
  { key: "vni", title: "Overlay", value: (p) => p.vni, show: (p) => `VNI ${p.vni}`, from: "never" },
  { key: "mtu", title: "MTU", value: (p) => p.mtu, show: (p) => `${p.mtu}\u202fB`, from: "never" },
  { key: "mode", title: "Mode", value: (p) => p.mode, from: "never" },
  { key: "epoch", title: "Tenure (epoch)", value: (p) => p.epoch, mono: true, from: "never" },
  { key: "gate_kind", title: "Gate checked by", value: (p) => ({ hard: "the kernel", soft: "the daemon", none: "nobody" })[p.gate_kind], from: "never" },
  { key: "vnet", title: "Super-frames", value: (p) => (p.vnet ? "yes" : "no"), from: "never" },
];

const example = `[[guest]]
tap = "tap0"
bridge = "br0"

[[segment]]
name = "office"
interface = "eth1"`;

export function Ports() {
  const ports = useFeed("/ports");
  const [clear, setClear] = useState<Port>();
  const traffic = useHistory(ports.data, (p) => p.name, (p) => [p.rx_bytes, p.tx_bytes]);
  if (!ports.data) return <Page title="Ports"><Loading refused={ports.refused} /></Page>;
  const failing = ports.data.flatMap((p) => p.problems.map((x) => ({ ...x, summary: `${p.name}: ${x.summary}` })));
  return (
    <Page title="Ports" lead="What is attached to this node: a gateway's ports on segments, and ports for its guests.">
      {failing.length > 0 && <div class="notice"><Problems problems={failing} /></div>}
      <Table
        label="ports" rows={ports.data} columns={columns} id={(p) => p.name} sort="name" file="drawbridge-ports"
        empty={(
          <Empty icon="ports" title="This node has no port">
            <p>It relays for others. To attach guests, add a guest port to its node file and restart it; a gateway gets a segment in the same way:</p>
            <Snippet>{example}</Snippet>
          </Empty>
        )}
        detail={(p) => (
          <>
            <Chart title="Traffic" series={["Received", "Sent"]} history={rates(traffic(p.name), 8)} unit="bit/s" show={bitRate} />
            {drops(p) > 0 && (
              <div>
                <h3>Dropped frames</h3>
                <dl class="lines">{Object.entries(p.drops).map(([why, n]) => <div key={why}><dt>{kindWords(why)}</dt><dd>{plural(n, "frame")}</dd></div>)}</dl>
              </div>
            )}
            {p.problems.length > 0 && <Problems problems={p.problems} />}
          </>
        )}
        actions={(p) => (
          <>
            <a class="button" href={`/capture?port=${encodeURIComponent(p.name)}`}>Capture its frames</a>
            {p.blocked && <Gated why={whyNot("operator")} onClick={() => setClear(p)}>Clear it…</Gated>}
          </>
        )}
      />
      <div class="below"><Loops /></div>
      {clear && <Clear port={clear} onClose={() => setClear(undefined)} />}
    </Page>
  );
}

function Clear({ port, onClose }: { port: Port; onClose: () => void }) {
  return (
    <Confirm
      title={`Clear port ${port.name}?`} verb="Clear" onClose={onClose}
      act={async () => {
        await change("POST /ports/{name}/clear", { by: who() }, { name: port.name });
        toast(`${port.name} listens again, for a second`);
      }}
    >
      <p>ALONE blocked it: {kindWords(port.blocked ?? "")}. It listens again as if it had just been plugged in, and then carries frames. What is still wrong on its wire blocks it again.</p>
    </Confirm>
  );
}
