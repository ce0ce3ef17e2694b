import { readNamed } from "../../api";
import type { AppliedPeer } from "../../api";
import { useAnswer } from "../../answer";
import { plural } from "../../format";
import { useFeed } from "../../live";
import { setQuery, usePlace } from "../../route";
import { Empty, Loading, State, Time, type Tone } from "../../ui/parts";
import { Table, type Column } from "../../ui/table";
import { Pick } from "./pick";

const tones: Record<AppliedPeer["state"], Tone> = { applied: "ok", behind: "warn", refused: "bad", silent: "warn", away: "idle" };
const words: Record<AppliedPeer["state"], string> = { applied: "applied", behind: "not so far yet", refused: "cannot apply it", silent: "does not answer", away: "away" };

const columns: Column<AppliedPeer>[] = [
  { key: "peer", title: "Peer", value: (p) => p.peer },
  { key: "state", title: "Has it", value: (p) => p.state, show: (p) => <State tone={tones[p.state]}>{words[p.state]}</State> },
  { key: "version", title: "Goes by", value: (p) => p.version, show: (p) => `version ${p.version}` },
  { key: "reason", title: "Why", value: (p) => p.reason, grow: true, from: "medium" },
  { key: "since", title: "Since", value: (p) => p.since, order: (p) => Date.parse(p.since ?? ""), from: "wide", show: (p) => (p.since ? <Time at={p.since} /> : <span class="none">–</span>) },
];

const soon = 2000; // ms; it is looked at while it changes

export function AppliedBy() {
  const versions = useFeed("/config/versions").data;
  const { query } = usePlace();
  const n = query.get("version") ?? "0";
  const applied = useAnswer(() => readNamed("/config/versions/{n}/applied", { n }), n, soon);
  if (!applied.data) return <Loading refused={applied.refused} />;
  const a = applied.data;
  const missing = a.peers.filter((p) => p.state !== "applied").length;
  return (
    <>
      <div class="bar">
        <Pick label="Version" versions={versions?.versions ?? []} value={n === "0" ? String(a.version) : n} choose={(v) => setQuery({ version: v })} />
        <p role="status">
          <State tone={a.complete ? "ok" : "warn"}>
            {a.complete ? (missing === 0 ? `All peers go by version ${a.version}` : `All peers that answer go by version ${a.version}`) : `${missing} of ${plural(a.peers.length, "peer")} ${missing === 1 ? "does" : "do"} not go by version ${a.version} yet`}
          </State>
        </p>
      </div>
      <Table label="peers" rows={a.peers} columns={columns} id={(p) => p.peer} sort="" file="drawbridge-applied" empty={<Empty icon="peers" title="No peer was asked yet">Peers appear here as soon as they tell which version they go by. <a href="/peers">Who belongs to the network</a></Empty>} />
    </>
  );
}
