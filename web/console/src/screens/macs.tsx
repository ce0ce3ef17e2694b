import { useMemo, useState } from "preact/hooks";
import { change, readNamed } from "../api";
import type { MAC, MACStep } from "../api";
import { useAnswer } from "../answer";
import { plural } from "../format";
import { useFeed } from "../live";
import { setQuery, usePlace } from "../route";
import { whyNot } from "../session";
import { Confirm } from "../ui/dialog";
import { Gated } from "../ui/form";
import { Age, Copy, Empty, Loading, Page, State, Time, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";

function whereWords(m: Pick<MAC, "at" | "port" | "peer" | "segment">): string {
  switch (m.at) {
    case "port": return `here, at port ${m.port ?? "?"}`;
    case "peer": return `at peer ${m.peer ?? "?"}`;
    default: return `behind segment ${m.segment ?? "?"}`;
  }
}

const columns: Column<MAC>[] = [
  { key: "mac", title: "Address", value: (m) => m.mac, mono: true },
  { key: "where", title: "Where", value: whereWords, grow: true },
  { key: "via", title: "Frames go to", value: (m) => m.peer, from: "medium", show: (m) => (m.peer ? <a href={`/peers?open=${encodeURIComponent(m.peer)}`}>{m.peer}</a> : <span class="quiet-text">this node</span>) },
  { key: "port", title: "Port", value: (m) => m.port, from: "wide" },
  { key: "segment", title: "Segment", value: (m) => m.segment, from: "never" },
  { key: "vni", title: "Overlay", value: (m) => m.vni, number: true, from: "medium", show: (m) => `VNI ${m.vni}` },
  { key: "seen", title: "Seen", value: (m) => m.seen, order: (m) => Date.parse(m.seen), show: (m) => <><Age at={m.seen} /> ago</>, number: true, from: "medium" },
  { key: "learned", title: "Known since", value: (m) => m.learned, order: (m) => Date.parse(m.learned), show: (m) => <Time at={m.learned} />, from: "wide" },
];

export function MACs() {
  const macs = useFeed("/macs");
  const { query } = usePlace();
  const [flush, setFlush] = useState<MAC | "all">();
  const at = query.get("at") ?? "", segment = query.get("segment") ?? "", peer = query.get("peer") ?? "", port = query.get("port") ?? "";
  const keep = useMemo(() => (m: MAC) =>
    (!at || m.at === at) && (!segment || m.segment === segment) && (!peer || m.peer === peer) && (!port || m.port === port), [at, segment, peer, port]);
  const narrowed = Object.entries({ segment, peer, port }).filter(([, v]) => v);
  if (!macs.data) return <Page title="MAC addresses"><Loading refused={macs.refused} /></Page>;
  return (
    <Page
      title="MAC addresses" lead="Where every station is, as far as this node has learned it from frames."
      tools={macs.data.length > 0 && <Gated danger why={whyNot("operator")} onClick={() => setFlush("all")}>Forget all…</Gated>}
    >
      <Table
        label="addresses" one="address" rows={macs.data} columns={columns} id={(m) => `${m.vni}-${m.mac}`} name={(m) => m.mac} sort="mac" file="drawbridge-macs" keep={keep}
        empty={<Empty icon="macs" title="No station has been seen">An address appears as soon as a frame of it arrives. Let a host send something, for instance a ping. If none appears, look whether frames arrive at the <a href="/ports">ports</a>.</Empty>}
        filters={(
          <div class="filters">
            <label><span class="hidden">Where</span>
              <select value={at} onChange={(e) => setQuery({ at: e.currentTarget.value })}>
                <option value="">Anywhere</option><option value="port">At this node's ports</option><option value="peer">At other peers</option><option value="segment">Behind segments</option>
              </select>
            </label>
            {narrowed.map(([k, v]) => <button key={k} type="button" class="chip" aria-pressed="true" onClick={() => setQuery({ [k]: undefined })}>{k} {v} <span aria-hidden="true">✕</span><span class="hidden">, remove this filter</span></button>)}
          </div>
        )}
        detail={(m) => <Story m={m} />}
        actions={(m) => (
          <>
            <Copy text={m.mac} label="Copy address" />
            <Gated danger why={whyNot("operator")} onClick={() => setFlush(m)}>Forget it…</Gated>
          </>
        )}
      />
      {flush && (
        <Forget what={flush} known={macs.data.length} onClose={() => setFlush(undefined)} />
      )}
    </Page>
  );
}

const stepWords: Record<MACStep["what"], [Tone, string]> = {
  learned: ["ok", "heard first"], moved: ["self", "moved"], repointed: ["self", "re-pointed"],
  aged: ["idle", "forgotten"], flushed: ["idle", "forgotten"], gone: ["warn", "port went away"],
};

/** Story is where a station was before, the newest step first. */
function Story({ m }: { m: MAC }) {
  const story = useAnswer(() => readNamed("/macs/{mac}/story", { mac: m.mac }), `story ${m.mac} ${m.learned} ${m.peer}`);
  const steps = story.data?.find((s) => s.vni === m.vni)?.steps;
  return (
    <div class="story">
      <h3>Where it was</h3>
      {!steps ? <Loading refused={story.refused} /> : (
        <ol>
          {[...steps].reverse().map((s, i) => (
            <li key={i}>
              <Time at={s.time} />
              <State tone={stepWords[s.what][0]}>{stepWords[s.what][1]}</State>
              <span>{whereWords(s)}{s.at === "segment" && s.peer && <>, by gateway {s.peer}</>}{s.cause && <span class="quiet-text">: {s.cause}</span>}</span>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function Forget({ what, known, onClose }: { what: MAC | "all"; known: number; onClose: () => void }) {
  const [everywhere, setEverywhere] = useState(false);
  const one = what === "all" ? undefined : what;
  return (
    <Confirm
      title={one ? `Forget where ${one.mac} is?` : `Forget all ${plural(known, "address", "addresses")}?`} verb="Forget" onClose={onClose}
      act={async () => {
        const done = await change("POST /macs/flush", { everywhere, ...(one && { mac: one.mac, vni: one.vni }) });
        setQuery({ open: undefined });
        toast(`${plural(done.flushed, "address", "addresses")} forgotten here${everywhere ? ", and on all peers" : ""}`);
      }}
    >
      <p>Until {one ? "it is" : "they are"} seen again, frames for {one ? "it" : "them"} go to everybody. That lasts until each station sends once, and does no harm beyond the traffic.</p>
      <label class="check"><input type="checkbox" checked={everywhere} onChange={(e) => setEverywhere(e.currentTarget.checked)} /><span>On all peers<small>Otherwise on this node alone</small></span></label>
    </Confirm>
  );
}
