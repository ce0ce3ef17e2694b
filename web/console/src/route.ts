// Where we are: the path is the screen, the query is what it shows, so that every view can be bookmarked and sent.
import { useEffect, useReducer } from "preact/hooks";

const moved = new Set<() => void>();

function tell(): void {
  for (const m of moved) m();
}

window.addEventListener("popstate", tell);

// Links are plain <a href>: only those that a plain click would open here are ours.
document.addEventListener("click", (e) => {
  const a = (e.target as Element).closest("a");
  if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
  if (a.target || a.hasAttribute("download") || a.origin !== location.origin || a.pathname.includes(".") || a.pathname.startsWith("/api/")) return;
  e.preventDefault();
  if (a.hash && a.pathname === location.pathname) {
    document.querySelector<HTMLElement>(a.hash)?.focus();
    return;
  }
  go(a.pathname + a.search);
});

export function go(to: string): void {
  history.pushState(null, "", to);
  tell();
}

export function usePlace(): { path: string; query: URLSearchParams } {
  const repaint = useReducer((n: number, _: void) => n + 1, 0)[1] as () => void;
  useEffect(() => {
    moved.add(repaint);
    return () => void moved.delete(repaint);
  }, []);
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

/** setQuery changes some of the query; what is empty goes. A filter that is typed leaves no trail in the history. */
export function setQuery(change: Record<string, string | undefined>, trail = false): void {
  const q = new URLSearchParams(location.search);
  for (const [k, v] of Object.entries(change)) {
    if (v) q.set(k, v);
    else q.delete(k);
  }
  const text = q.toString();
  const to = location.pathname + (text ? "?" + text : "");
  if (trail) history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  tell();
}
