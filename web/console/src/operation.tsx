// What takes its time: the checks before it, its steps, and what came of it.
import type { Check, Operation } from "./api";
import { bytes, count, dot, milliseconds, percent } from "./format";
import { useFeed } from "./live";
import { State } from "./ui/parts";
import { kindWords } from "./words";

export function Checks({ checks }: { checks: Check[] }) {
  return (
    <ul class="checks">
      {checks.map((c) => (
        <li key={c.name + c.peer}>
          <State tone={c.ok ? "ok" : "bad"}>{kindWords(c.name.replace(/-/g, "_"))}</State>
          <span class="check-value">{c.value}{!c.ok && c.need && <>{dot}<strong>needs {c.need}</strong></>}</span>
        </li>
      ))}
    </ul>
  );
}

const progressWords: Record<string, string> = {
  receive: "The bundle comes here", fetch: "The bundle is fetched", verify: "Every byte is verified, nothing is written yet", write: "The bundle is written to the idle slot",
  copy: "This system is written to the disk",
};

/** Done is how much of something is done, in bytes. Of what has no known size there is no bar that fills. */
export function Done({ words, done, total }: { words: string; done: number; total: number }) {
  return (
    <label class="field">
      <span>{words}: {total > 0 ? `${percent(done / total)} of ${bytes(total)}` : bytes(done)}</span>
      {total > 0 ? <progress max={total} value={done} /> : <progress />}
    </label>
  );
}

/** Progress follows an operation from when it began. */
export function Progress({ begun }: { begun: Operation }) {
  const o = useFeed("/operations").data?.find((x) => x.id === begun.id) ?? begun;
  return (
    <div class="form" aria-live="polite">
      <p class="operation-state">
        {o.state === "running" && <><span class="spinner" aria-hidden="true" /> Under way…</>}
        {o.state === "done" && <State tone="ok">{o.outcome || "done"}</State>}
        {o.state === "failed" && <State tone="bad">{o.outcome || "failed"}</State>}
        {o.state === "refused" && <State tone="warn">Nothing was done{o.outcome && <>: {o.outcome}</>}</State>}
      </p>
      {o.state === "running" && o.progress && <Done words={progressWords[o.progress.step] ?? o.progress.step} done={o.progress.done} total={o.progress.total} />}
      {o.state === "refused" && <Checks checks={o.checks.filter((c) => !c.ok)} />}
      {o.handover && (
        <div class="counts">
          <div><strong>{milliseconds(o.handover.pause_ms)}</strong><span>{o.handover.buffered ? "frames were held" : "nobody carried frames"}</span></div>
          <div><strong>{count(o.handover.handed + o.handover.kept)}</strong><span>frames kept and forwarded</span></div>
          <div><strong>{count(o.handover.dropped)}</strong><span>frames dropped</span></div>
        </div>
      )}
      {o.drill && <p><State tone={o.drill.ok ? "ok" : "bad"}>{o.drill.outcome}</State></p>}
      {o.steps.length > 0 && (
        <ol class="ruler-marks">
          {o.steps.map((s) => <li key={s.name + s.at_ms}><span class="ruler-ms">{milliseconds(s.at_ms)}</span><span>{s.text}</span></li>)}
        </ol>
      )}
    </div>
  );
}

