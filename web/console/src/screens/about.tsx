import { useState } from "preact/hooks";
import { download } from "../api";
import { kept } from "../download";
import type { OverlayPath } from "../api";
import { plural } from "../format";
import { useFeed } from "../live";
import { whyNot } from "../session";
import { Icon } from "../ui/icons";
import { Age, Card, Command, Fact, Facts, Loading, Page, Problems, State, type Tone } from "../ui/parts";
import { kindWords } from "../words";

export function About() {
  const version = useFeed("/version");
  const status = useFeed("/status").data;
  if (!version.data || !status) return <Page title="About"><Loading refused={version.refused} /></Page>;
  const v = version.data, d = status.data_path;
  const notes = d.notes.filter((n) => !d.overlays.some((o) => n.startsWith(`overlay ${o.overlay}: `))); // the list says these
  const dropped = Object.entries(status.drops).filter(([, n]) => n > 0);
  return (
    <Page title="About" lead={`Drawbridge ${v.version} on ${status.name}.`}>
      <div class="grid">
        <Card title="Software">
          <Facts>
            <Fact name="Version"><span class="mono">{v.version}</span></Fact>
            <Fact name="Built with">{v.go}</Fact>
            <Fact name="System">{v.os}</Fact>
            <Fact name="Kernel">{v.kernel || "not told"}</Fact>
            <Fact name="Up for"><Age at={status.started} /></Fact>
            <Fact name="Documents"><a href="/api/v1/openapi.json" target="_blank" rel="noreferrer">API (OpenAPI)</a>, <a href="/LICENSES.txt" target="_blank" rel="noreferrer">licences</a></Fact>
          </Facts>
        </Card>
        <Card title="Identity">
          <Facts>
            <Fact name="Peer">{status.name}</Fact>
            <Fact name="Roles">{status.roles.join(", ")}</Fact>
            <Fact name="Network">{status.network.name}</Fact>
            <Fact name="Key"><span class="mono">{status.id}</span></Fact>
            <Fact name="Network's identity"><span class="mono">{status.network.id}</span></Fact>
            <Fact name="Listens on"><span class="mono">{status.listen.join(", ")}</span></Fact>
            <Fact name="Can be called at"><span class="mono">{status.advertise.join(", ") || "nobody can call it"}</span></Fact>
          </Facts>
        </Card>
        <Card title="Data path">
          <Facts>
            <Fact name="Frames are forwarded by">{d.engine === "kernel" ? "the kernel" : "the daemon"}</Fact>
            <Fact name="Sealed with">{d.cipher}</Fact>
            <Fact name="Gate checked by">{{ hard: "the kernel, for every frame", soft: "the daemon", none: "nobody: no segment port" }[d.gate]}</Fact>
            <Fact name="Guests' MTU">{status.mtu > 0 ? `${status.mtu}\u202fB` : "no peer is reachable"}</Fact>
            <Fact name="Offloads">{[d.gso && "sends in bulk (GSO)", d.gro && "receives in bulk (GRO)", d.vnet && "super-frames at ports"].filter(Boolean).join(", ") || "none"}</Fact>
          </Facts>
          {d.overlays.length > 0 && <Overlays overlays={d.overlays} />}
          {notes.length > 0 && <div class="below"><Problems tone="idle" problems={notes.map((n) => ({ summary: n }))} /></div>}
        </Card>
        <Card title="Dropped frames" aside={<span class="aside">since the start</span>}>
          {dropped.length === 0 ? <p><State tone="ok">none</State></p> : <dl class="lines">{dropped.map(([why, n]) => <div key={why}><dt>{kindWords(why)}</dt><dd>{plural(n, "frame")}</dd></div>)}</dl>}
        </Card>
        <Card title="Diagnostics" wide>
          <p class="quiet-text">An archive of what somebody far away needs to understand {status.name}: state, configuration, events, metrics, what every part waits for, and a check of the host. It has the names and addresses of your network. Keys, tokens, password hashes and cookies are taken out; README.txt in it lists both.</p>
          <div class="tools below"><Collect /></div>
          <p class="fine">The same on the terminal of the node, with its journal, and a check of the host by root:</p>
          <Command>drawbridge diag</Command>
          <p class="fine">Only the check:</p>
          <Command>drawbridge doctor</Command>
        </Card>
      </div>
    </Page>
  );
}

const carriers: Record<OverlayPath["engine"], [Tone, string]> = { kernel: ["ok", "the kernel"], user: ["warn", "the daemon"], mixed: ["warn", "both"], none: ["self", "changing over"] };

/** Overlays are those that the kernel is to carry: by what each is carried here, and why not by the kernel. */
function Overlays({ overlays }: { overlays: OverlayPath[] }) {
  return (
    <div class="below">
      <h3>Overlays for the kernel</h3>
      <ul class="steps">
        {overlays.map((o) => (
          <li key={o.vni}>
            <strong>{o.overlay}</strong>
            <span>VNI {o.vni}, wanted: {o.wanted}</span>
            <State tone={carriers[o.engine][0]}>{carriers[o.engine][1]}{o.engine === "kernel" ? ", not encrypted" : o.reason && `: ${o.reason}`}</State>
            {o.engine === "mixed" && o.peers.map((p) => (
              <State key={p.peer} tone={carriers[p.engine][0]}>to {p.peer}: {carriers[p.engine][1]}{p.reason && `: ${p.reason}`}</State>
            ))}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Collect() {
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    await kept(download("/diag"));
    setBusy(false);
  };
  const why = whyNot("admin");
  return (
    <button type="button" disabled={busy || why !== undefined} title={why} onClick={run}>
      {busy ? <span class="spinner" aria-hidden="true" /> : <Icon name="download" size={18} />}
      {busy ? "Collecting, a few seconds" : "Download diagnostics"}
    </button>
  );
}
