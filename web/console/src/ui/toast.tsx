// Short news that need no answer, read out by screen readers.
import { useEffect, useReducer } from "preact/hooks";
import { Icon } from "./icons";

interface News {
  id: number;
  text: string;
  tone: "ok" | "warn" | "bad";
}

let news: News[] = [];
let last = 0;
let repaint: (() => void) | undefined;
const stays = 6000;

export function toast(text: string, tone: News["tone"] = "ok"): void {
  const n = { id: ++last, text, tone };
  news = [...news, n];
  repaint?.();
  setTimeout(() => drop(n.id), stays);
}

function drop(id: number): void {
  news = news.filter((n) => n.id !== id);
  repaint?.();
}

export function Toasts() {
  const tick = useReducer((n: number, _: void) => n + 1, 0)[1] as () => void;
  useEffect(() => {
    repaint = tick;
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {news.map((n) => (
        <div key={n.id} class={`toast ${n.tone}`}>
          <Icon name={n.tone} size={18} />
          <span>{n.text}</span>
          <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => drop(n.id)}><Icon name="close" size={16} /></button>
        </div>
      ))}
    </div>
  );
}
