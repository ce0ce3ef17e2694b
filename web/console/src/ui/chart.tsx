// Curves of the last minutes, as this page saw them. uPlot is fetched when the first one is shown.
import { useEffect, useRef } from "preact/hooks";
import { clock } from "../format";

const keeps = 600; // points, one a second

export interface History {
  times: number[]; // s
  values: (number | null)[][];
}

/** useHistory remembers numbers of every row for as long as the screen is open. */
export function useHistory<T>(rows: T[] | undefined, name: (row: T) => string, numbers: (row: T) => (number | null)[]): (name: string) => History {
  const kept = useRef(new Map<string, History>());
  useEffect(() => {
    const at = Date.now() / 1000;
    for (const r of rows ?? []) {
      const h = kept.current.get(name(r)) ?? { times: [], values: numbers(r).map(() => []) };
      h.times = [...h.times.slice(-keeps), at];
      const values = numbers(r);
      h.values = h.values.map((v, i) => [...v.slice(-keeps), values[i] ?? null]);
      kept.current.set(name(r), h);
    }
  }, [rows]);
  return (n) => kept.current.get(n) ?? { times: [], values: [] };
}

/** rates turns counters into changes a second. */
export function rates(h: History, factor = 1): History {
  const values = h.values.map((v) => v.map((n, i) => {
    const before = v[i - 1], dt = h.times[i]! - (h.times[i - 1] ?? 0);
    return i === 0 || n === null || before === null || before === undefined || n < before || dt <= 0 ? null : ((n - before) / dt) * factor;
  }));
  return { times: h.times.slice(1), values: values.map((v) => v.slice(1)) };
}

interface Plot {
  setData(d: unknown): void;
  setSize(s: { width: number; height: number }): void;
  destroy(): void;
}

export function Chart({ title, series, history, unit, show }: {
  title: string; series: string[]; history: History; unit: string; show?: (n: number) => string;
}) {
  const ref = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | undefined>(undefined);
  const data = [history.times, ...history.values];
  useEffect(() => {
    let gone = false;
    let watcher: ResizeObserver | undefined;
    void import("uplot").then(({ default: UPlot }) => {
      const box = ref.current;
      if (gone || !box) return;
      const css = getComputedStyle(box);
      const colour = (name: string) => css.getPropertyValue(name).trim();
      const text = show ?? ((n: number) => `${n}\u202f${unit}`);
      const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px " + css.fontFamily };
      const strokes = ["--accent", "--warn-line"];
      plot.current = new UPlot({
        width: box.clientWidth, height: 170, legend: { show: series.length > 1, live: false }, cursor: { drag: { x: false, y: false } },
        series: [{}, ...series.map((label, i) => ({ label, stroke: colour(strokes[i]!), width: 1.6, dash: i === 1 ? [6, 4] : undefined, points: { show: false }, spanGaps: false }))],
        axes: [{ ...axis, space: 90, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300], values: (_: unknown, ticks: number[]) => ticks.map((t) => clock(t * 1000, Date.now())) }, { ...axis, size: 84, values: (_: unknown, ticks: number[]) => ticks.map(text) }],
        scales: { y: { range: (_: unknown, _min: number, max: number) => [0, Math.max(max * 1.15, 1e-3)] } },
      } as never, [[], ...series.map(() => [])] as never, box) as unknown as Plot;
      plot.current?.setData(data);
      watcher = new ResizeObserver(() => box.clientWidth > 0 && plot.current?.setSize({ width: box.clientWidth, height: 170 }));
      watcher.observe(box);
    });
    return () => {
      gone = true;
      watcher?.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, []);
  useEffect(() => plot.current?.setData(data), [history.times.length, history.times[history.times.length - 1]]);
  const last = history.values.map((v) => v[v.length - 1]);
  const now = series.map((s, i) => `${s}: ${last[i] === null || last[i] === undefined ? "not measured" : (show ?? ((n) => `${Math.round(n * 100) / 100}\u202f${unit}`))(last[i]!)}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>{title}, while this page is open <span class="quiet-text">{history.times.length < 2 && "– wait a few seconds"}</span></figcaption>
      <div ref={ref} role="img" aria-label={`${title}. ${now}`} />
    </figure>
  );
}
