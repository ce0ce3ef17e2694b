import type { ConfigSetting } from "../../api";
import { plural } from "../../format";
import { Copy } from "../../ui/parts";

/** Difference tells what changes: setting by setting, and line by line. */
export function Difference({ changes, unified, none }: { changes: ConfigSetting[]; unified: string; none: string }) {
  if (changes.length === 0 && unified === "") return <p class="quiet-text">{none}</p>;
  return (
    <div class="stack">
      <ul class="settings" aria-label={plural(changes.length, "setting")}>
        {changes.map((c) => (
          <li key={c.setting}>
            <strong class="mono">{c.setting}</strong>
            <span class="setting-values">
              <span class="hidden">before: </span>{c.before === "" ? <em>was not there</em> : <del class="mono">{c.before}</del>}
              <span aria-hidden="true"> → </span><span class="hidden">, after: </span>
              {c.after === "" ? <em>is gone</em> : <ins class="mono">{c.after}</ins>}
            </span>
          </li>
        ))}
      </ul>
      {unified && (
        <details class="unified" open>
          <summary>Line by line</summary>
          <pre tabIndex={0} role="group" aria-label="Unified difference">{unified.replace(/\n$/, "").split("\n").map((l, i) => <span key={i} class={kind(l)}>{l || " "}</span>)}</pre>
          <Copy text={unified} />
        </details>
      )}
    </div>
  );
}

const kind = (l: string): string => (/^(---|\+\+\+)/.test(l) ? "file" : l.startsWith("+") ? "added" : l.startsWith("-") ? "gone" : l.startsWith("@@") ? "place" : "");
