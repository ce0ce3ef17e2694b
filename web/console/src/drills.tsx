// Reports of rehearsals: each leg as a ruler of how long nothing came through, by what probes of a millisecond found.
import type { DrillLeg, DrillReport } from "./api";
import { count, dot, milliseconds, plural } from "./format";
import { useFeed } from "./live";
import { State, Time } from "./ui/parts";

const shown = 10; // the newest; the node keeps no more than it needs

export function Drills({ segment }: { segment: string }) {
  const reports = (useFeed("/drills").data ?? []).filter((r) => r.segment === segment).slice(0, shown);
  return (
    <section>
      <h3>Rehearsals</h3>
      {reports.length === 0 ? <p class="quiet-text">None was done, as far as this node knows. Rehearse… moves the segment there and back, and measures it.</p> : (
        <div class="drills">{reports.map((r, i) => <Report key={r.id} report={r} open={i === 0} />)}</div>
      )}
    </section>
  );
}

function Report({ report: r, open }: { report: DrillReport; open: boolean }) {
  return (
    <details class="drill" open={open}>
      <summary>
        <Time at={r.time} />
        <State tone={r.ok ? "ok" : "bad"}>{r.outcome}</State>
        {r.by && <span class="quiet-text">by {r.by}</span>}
      </summary>
      {r.legs.map((l) => <Leg key={l.from + l.to} leg={l} most={Math.max(1, ...r.legs.flatMap((x) => [x.handover?.pause_ms ?? 0, ...x.probes.map((p) => p.silence_ms)]))} />)}
    </details>
  );
}

const ways = { "to-segment": "into the segment", "from-segment": "out of the segment" } as const;

/** Leg draws silences of one scale: the longest of the report takes half of the width. */
function Leg({ leg: l, most }: { leg: DrillLeg; most: number }) {
  const wide = (ms: number) => `${Math.max(0.6, (ms / most) * 50)}%`;
  const left = (ms: number) => `${50 - Math.max(0.6, (ms / most) * 50) / 2}%`;
  return (
    <div class="drill-leg">
      <p><b>{l.from}</b> → <b>{l.to}</b>{l.handover && <span class="quiet-text">{dot}{l.handover.buffered ? "frames were held" : "nobody carried frames"} for {milliseconds(l.handover.pause_ms)}</span>}</p>
      {l.probes.map((p) => (
        <div key={p.direction} class="drill-probe">
          <span class="drill-way">{ways[p.direction]}</span>
          <svg class="ruler-band" width="100%" height="24" role="img" aria-label={`Longest silence ${ways[p.direction]}: ${milliseconds(p.silence_ms)}`}>
            <rect class="carried" x="0" y="6" width="100%" height="12" rx="3" />
            <rect class="gap" x={left(p.silence_ms)} y="2" width={wide(p.silence_ms)} height="20" rx="3" />
          </svg>
          <strong>{milliseconds(p.silence_ms)}</strong>
          <span class="drill-counts">
            {plural(p.sent, "probe")}:{" "}
            {p.lost + p.duplicated + p.reordered === 0 ? "none lost, doubled or out of order" : <State tone="warn">{count(p.lost)} lost, {count(p.duplicated)} doubled, {count(p.reordered)} out of order</State>}
          </span>
        </div>
      ))}
    </div>
  );
}
