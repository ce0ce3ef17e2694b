import { useEffect, useRef, useState } from "preact/hooks";
import { address, refusalOf, said } from "../api";
import { bytes, count, duration } from "../format";
import { useFeed } from "../live";
import { Counter } from "../pcapng";
import { setQuery, usePlace } from "../route";
import { may, whyNot } from "../session";
import { Icon } from "../ui/icons";
import { Card, Command, Empty, Loading, Page, save, State } from "../ui/parts";
import { toast } from "../ui/toast";

/** What the browser keeps in memory at most, however high somebody sets the limits. */
const most = 256e6;

interface Run {
  name: string; // of the port or segment
  began: number;
  ended?: number;
  packets: number;
  bytes: number;
  why?: string; // it ended
  wrong?: string;
}

export function Capture() {
  const ports = useFeed("/ports");
  const { query } = usePlace();
  const [run, setRun] = useState<Run>();
  const parts = useRef<BlobPart[]>([]);
  const stop = useRef<((why: string) => void) | undefined>(undefined);
  useEffect(() => () => stop.current?.("the page was left"), []);
  if (!ports.data) return <Page title="Capture"><Loading refused={ports.refused} /></Page>;
  const names = ports.data.map((p) => p.name);
  const segments = ports.data.flatMap((p) => (p.segment ? [p.segment] : []));
  const segment = query.get("segment") ?? ""; // at all its gateways
  const port = segment ? "" : query.get("port") ?? names[0] ?? "";
  const filter = query.get("filter") ?? "", where = query.get("where") ?? "";
  const limit = { s: Number(query.get("s") ?? 60), packets: Number(query.get("packets") ?? 10000), mb: Number(query.get("mb") ?? 20) };
  const running = run !== undefined && run.ended === undefined;

  const start = async (e: SubmitEvent) => {
    e.preventDefault();
    const abort = new AbortController();
    const counter = new Counter();
    parts.current = [];
    const state: Run = { name: port || segment, began: Date.now(), packets: 0, bytes: 0 };
    setRun({ ...state });
    let ended = false;
    const end = (why: string, wrong?: string) => {
      if (ended) return;
      ended = true;
      clearInterval(paint);
      abort.abort();
      setRun({ ...state, packets: counter.packets, bytes: counter.bytes, ended: Date.now(), why, wrong });
    };
    stop.current = (why) => end(why);
    const paint = setInterval(() => {
      setRun({ ...state, packets: counter.packets, bytes: counter.bytes });
      if (Date.now() - state.began >= limit.s * 1000) end(`after ${duration(limit.s * 1000)}`);
    }, 200);
    try {
      const answer = await fetch(address("/capture", { port, segment, filter, where }), { signal: abort.signal });
      if (!answer.ok || !answer.body) throw await refusalOf(answer);
      const reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return end("the port went away");
        parts.current.push(value.slice());
        counter.add(value);
        if (counter.packets >= limit.packets) return end(`after ${count(limit.packets)} packets`);
        if (counter.bytes >= Math.min(limit.mb * 1e6, most)) return end(`after ${bytes(counter.bytes)}`);
      }
    } catch (err) {
      end("", said(err));
    }
  };
  const download = () => {
    save(`${run!.name}-${new Date(run!.began).toISOString().slice(0, 19).replace(/[:T]/g, "-")}.pcapng`, "application/x-pcapng", parts.current);
    toast("The capture is in your downloads");
  };
  return (
    <Page title="Capture" lead="Frames of one port of this node, or of a segment at all its gateways, for Wireshark. They may contain what your users send: handle the file with care.">
      {names.length === 0
        ? <Empty icon="capture" title="This node has no port to capture at">Open the console of a <a href="/peers">peer</a> that has one, or <a href="/ports">give this one a port</a>.</Empty>
        : (
          <div class="grid">
            <Card title="What">
              <form class="form" onSubmit={start}>
                <label class="field"><span>Where</span>
                  <select value={segment ? `${everywhere}${segment}` : port} disabled={running} onChange={(e) => setQuery(place(e.currentTarget.value))}>
                    {ports.data.map((p) => <option key={p.name} value={p.name}>{p.name} ({p.kind === "segment" ? `segment ${p.segment}` : "guests"})</option>)}
                    {segments.map((name) => <option key={everywhere + name} value={everywhere + name}>segment {name} at all its gateways</option>)}
                  </select>
                  {segment && <span class="hint">One file, in the order of time. What happened to the gates stands beside the frames.</span>}
                </label>
                <label class="field"><span>Frames that the gate stops</span>
                  <select value={where} disabled={running} onChange={(e) => setQuery({ where: e.currentTarget.value })}>
                    <option value="">are left out</option><option value="before-gate">are captured too</option>
                  </select>
                </label>
                <label class="field"><span>Filter</span>
                  <input class="mono" value={filter} disabled={running} placeholder="all frames, or for instance: arp or icmp" spellcheck={false} autocomplete="off" onInput={(e) => setQuery({ filter: e.currentTarget.value })} />
                  <span class="hint">As for tcpdump</span>
                </label>
                <fieldset class="fields" disabled={running}>
                  <legend>Ends after</legend>
                  <div class="form-row thirds">
                    <Limit name="s" label="Seconds" value={limit.s} max={3600} />
                    <Limit name="packets" label="Packets" value={limit.packets} max={1_000_000} />
                    <Limit name="mb" label="MB" value={limit.mb} max={most / 1e6} />
                  </div>
                </fieldset>
                <div class="tools">
                  {running
                    ? <button type="button" class="danger" onClick={() => stop.current?.("by hand")}><Icon name="stop" size={18} /> Stop</button>
                    : <button type="submit" class="primary" disabled={!may("operator")} title={whyNot("operator")}><Icon name="play" size={18} /> Start</button>}
                </div>
              </form>
            </Card>
            <Card title="Frames" aside={run && (running ? <State tone="ok">capturing</State> : run.wrong ? <State tone="bad">failed</State> : <State tone="idle">ended</State>)}>
              {!run
                ? <Empty icon="capture" title="Not started">Choose a port and start. The count goes up as frames arrive.</Empty>
                : (
                  <div class="form">
                    <div class="counts" role="status" aria-live="off">
                      <div><strong>{count(run.packets)}</strong><span>packets</span></div>
                      <div><strong>{bytes(run.bytes)}</strong><span>of {limit.mb} MB</span></div>
                      <div><strong>{duration((run.ended ?? Date.now()) - run.began)}</strong><span>of {duration(limit.s * 1000)}</span></div>
                    </div>
                    <progress max={1} value={Math.min(1, Math.max(run.packets / limit.packets, run.bytes / (limit.mb * 1e6), ((run.ended ?? Date.now()) - run.began) / (limit.s * 1000)))} aria-label="How near the first limit is" />
                    {run.wrong && <p class="wrong" role="alert"><Icon name="bad" size={18} /> {run.wrong}</p>}
                    {run.why && <p class="quiet-text">Ended {run.why}.</p>}
                    <div class="tools"><button type="button" class={running ? "" : "primary"} disabled={run.bytes === 0} onClick={download}><Icon name="download" size={18} /> {running ? "Download what there is" : "Download pcapng"}</button></div>
                  </div>
                )}
            </Card>
            <Card title="Into Wireshark, live" wide>
              <p class="quiet-text">From a host that may log in on this node:</p>
              <div class="below"><Command>{`ssh NODE drawbridge capture ${segment ? `--segment ${quoted(segment)}` : quoted(port)}${where === "before-gate" ? " --before-gate" : ""}${filter ? ` --filter ${quoted(filter)}` : ""} | wireshark -k -i -`}</Command></div>
            </Card>
          </div>
        )}
    </Page>
  );
}

/** Goes before a segment's name among the names of ports, which have no space. */
const everywhere = "all gateways of ";

const place = (chosen: string) => (chosen.startsWith(everywhere)
  ? { segment: chosen.slice(everywhere.length), port: "" } : { segment: "", port: chosen });

const quoted = (s: string): string => (/^[\w.:-]+$/.test(s) ? s : `'${s.replace(/'/g, `'\\''`)}'`);

function Limit({ name, label, value, max }: { name: string; label: string; value: number; max: number }) {
  return (
    <label class="field"><span>{label}</span>
      <input type="number" min="1" max={max} required value={value} onChange={(e) => setQuery({ [name]: e.currentTarget.value })} />
    </label>
  );
}
