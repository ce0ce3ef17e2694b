// One move of a segment from gateway to gateway, as a ruler: what happened when, in milliseconds from the moment at which
// nobody carried the segment.
import { dot, milliseconds } from "./format";
import { State, Time } from "./ui/parts";
import { chain, kindWords, type Move } from "./words";

export function Ruler({ move: m }: { move: Move }) {
  const gap = m.end - m.start;
  const marks = m.marks.map((e) => ({ e, at: Date.parse(e.time) - m.start })).filter((x) => x.at >= -5000 && x.at <= gap + 2000);
  const least = Math.min(0, ...marks.map((x) => x.at)), most = Math.max(gap, 1, ...marks.map((x) => x.at));
  const pad = Math.max((most - least) * 0.22, 5); // what was before and came after is part of the story
  const x = (ms: number) => ((ms - least + pad) / (most - least + 2 * pad)) * 100;
  return (
    <div class="ruler">
      <p class="ruler-head">
        <State tone="idle">{m.from === m.to ? <><b>{m.to}</b> lost {m.segment} and took it again</> : m.from ? <><b>{m.from}</b> → <b>{m.to}</b></> : <><b>{m.to}</b> took {m.segment}</>}</State>
        <strong class="ruler-gap">{gap > 0 ? milliseconds(gap) : "no gap seen"}</strong>
      </p>
      <p class="quiet-text"><Time at={new Date(m.end).toISOString()} millis />{m.reason && <>{dot}{chain(m.reason)}</>}</p>
      <svg class="ruler-band" width="100%" height="58" role="img" aria-label={gap > 0 ? `${m.segment} was carried by nobody for ${milliseconds(gap)}` : `no gap of ${m.segment} was seen`}>
        <rect class="carried" x="0" y="14" width="100%" height="12" rx="3" />
        {gap > 0 && <rect class="gap" x={`${x(0)}%`} y="10" width={`${Math.max(x(gap) - x(0), 0.5)}%`} height="20" rx="3" />}
        <text x={`${x(0) / 2}%`} y="54">{m.from ?? "before"}</text>
        {gap > 0 && x(gap) - x(0) > 14 && <text x={`${(x(0) + x(gap)) / 2}%`} y="54">nobody</text>}
        <text x={`${(x(gap) + 100) / 2}%`} y="54">{m.to}</text>
        {marks.map(({ e, at }) => <line key={e.id} x1={`${x(at)}%`} x2={`${x(at)}%`} y1="4" y2="36" />)}
      </svg>
      <ol class="ruler-marks">
        {marks.map(({ e, at }) => (
          <li key={e.id}>
            <span class="ruler-ms">{at > 0 ? "+" : at < 0 ? "−" : ""}{milliseconds(Math.abs(at))}</span>
            <a href={`/timeline?open=${e.id}`}>{kindWords(e.kind)}{e.peer && <>{dot}{e.peer}</>}</a>
          </li>
        ))}
      </ol>
      <p class="fine">As this node heard of it. Gaps are of the bridge to {m.segment}; peers go on talking to each other.</p>
    </div>
  );
}
