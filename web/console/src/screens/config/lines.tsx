import type { RefObject } from "preact";
import { useRef } from "preact/hooks";

/** Lines is a field for text with the numbers of its lines. Tab leaves it, as it leaves every field. */
export function Lines({ area, text, bad, onText, onKey }: {
  area: RefObject<HTMLTextAreaElement | null>; text: string; bad: number[]; onText: (t: string) => void; onKey: (e: KeyboardEvent) => void;
}) {
  const gutter = useRef<HTMLDivElement>(null);
  const n = text.split("\n").length;
  return (
    <div class="editor" style={{ "--digits": `${Math.max(2, String(n).length)}ch` }}>
      <div class="editor-numbers" ref={gutter} aria-hidden="true">
        {Array.from({ length: n }, (_, i) => <span key={i} class={bad.includes(i + 1) ? "bad" : ""}>{i + 1}</span>)}
      </div>
      <textarea
        ref={area} aria-label="Configuration as TOML" aria-describedby="editor-help" aria-invalid={bad.length > 0} spellcheck={false} autocapitalize="none" autocomplete="off" wrap="off"
        rows={Math.min(Math.max(n + 1, 12), 32)} value={text} onInput={(e) => onText(e.currentTarget.value)} onKeyDown={onKey}
        onScroll={(e) => gutter.current && (gutter.current.scrollTop = e.currentTarget.scrollTop)}
      />
    </div>
  );
}
