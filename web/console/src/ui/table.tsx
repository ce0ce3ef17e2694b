// The one table of the console: sorted, filtered, exported, and of any length, because only the rows that are seen exist.
// Filter, order and the row that is open are in the address of the page.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, natural, plural } from "../format";
import { go, setQuery, usePlace } from "../route";
import { Dialog } from "./dialog";
import { Icon } from "./icons";
import { Empty, Fact, Facts, save } from "./parts";

export interface Column<T> {
  key: string;
  title: string;
  value: (row: T) => string | number | boolean | null | undefined; // for order, filter and export
  show?: (row: T) => ComponentChildren; // otherwise the value
  order?: (row: T) => number; // otherwise by the value
  number?: boolean; // to the right
  mono?: boolean; // an address
  from?: "medium" | "wide" | "never"; // the width from which it has a column; in the details of a row it always is
  grow?: boolean;
}

interface Props<T> {
  label: string; // what the rows are, in the plural
  one?: string;
  rows: T[] | undefined;
  columns: Column<T>[];
  id: (row: T) => string;
  sort: string; // column by which rows come at first; "-" before it for the other way
  empty: ComponentChildren;
  filters?: ComponentChildren; // more than the text
  keep?: (row: T) => boolean; // what those filters leave
  detail?: (row: T) => ComponentChildren; // below the facts of the row that is open
  actions?: (row: T) => ComponentChildren; // what can be done to it
  name?: (row: T) => string;
  file: string; // name of exports
}

const rowHeight = 44;
const ahead = 8; // rows beyond the edge, so that scrolling never shows a gap
const settle = 200; // ms without scrolling after which new data is shown

const widths = { medium: 680, wide: 960 };

export function Table<T>(p: Props<T>) {
  const { query } = usePlace();
  const order = query.get("sort") ?? p.sort;
  const text = (query.get("q") ?? "").trim().toLowerCase();
  const frame = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600, width: 1000 });
  const rows = useStill(p.rows, frame);

  useLayoutEffect(() => {
    const f = frame.current;
    if (!f) return;
    const measure = () => setView((v) => {
      const next = { top: f.scrollTop, height: f.clientHeight, width: f.clientWidth };
      const same = v.height === next.height && v.width === next.width && Math.floor(v.top / rowHeight) === Math.floor(next.top / rowHeight);
      return same ? v : next;
    });
    const watcher = new ResizeObserver(measure);
    watcher.observe(f);
    f.addEventListener("scroll", measure, { passive: true });
    measure();
    return () => {
      watcher.disconnect();
      f.removeEventListener("scroll", measure);
    };
  }, [p.rows === undefined || p.rows.length === 0]);

  const shown = useMemo(() => {
    let all = rows ?? [];
    if (p.keep) all = all.filter(p.keep);
    if (text) {
      const words = text.split(/\s+/);
      all = all.filter((r) => {
        const hay = p.columns.map((c) => c.value(r) ?? "").join(" ").toLowerCase();
        return words.every((w) => hay.includes(w));
      });
    }
    return ordered(all, p.columns, order);
  }, [rows, text, order, p.keep]);

  if (p.rows === undefined) return null;
  if (p.rows.length === 0) return <>{p.empty}</>;

  const columns = p.columns.filter((c) => c.from !== "never" && (!c.from || view.width >= widths[c.from]));
  const first = Math.max(0, Math.floor(view.top / rowHeight) - ahead);
  const last = Math.min(shown.length, first + Math.ceil(view.height / rowHeight) + 2 * ahead);
  const open = query.get("open");
  const opened = open ? (rows ?? []).find((r) => p.id(r) === open) : undefined;
  const name = p.name ?? p.id;

  return (
    <div class="table-block">
      <div class="table-tools">
        <label class="search">
          <Icon name="search" size={18} />
          <span class="hidden">Filter {p.label}</span>
          <input type="search" placeholder={`Filter ${p.label}`} value={query.get("q") ?? ""} onInput={(e) => setQuery({ q: e.currentTarget.value })} />
        </label>
        {p.filters}
        <span class="table-count" role="status">
          {shown.length === rows?.length ? plural(shown.length, p.one ?? p.label.replace(/s$/, ""), p.label) : `${count(shown.length)} of ${count(rows?.length ?? 0)} ${p.label}`}
        </span>
        <span class="exports">
          <button type="button" class="quiet" onClick={() => save(p.file + ".csv", "text/csv", [csv(shown, p.columns)])}><Icon name="download" size={16} /> CSV</button>
          <button type="button" class="quiet" onClick={() => save(p.file + ".json", "application/json", [JSON.stringify(shown, null, 2) + "\n"])}><Icon name="download" size={16} /> JSON</button>
        </span>
      </div>
      <div class="table-frame" ref={frame} tabIndex={0} role="region" aria-label={`Table of ${p.label}`}>
        <table aria-rowcount={shown.length + 1}>
          <thead>
            <tr aria-rowindex={1}>
              {columns.map((c) => <Head key={c.key} column={c} order={order} initial={p.sort} />)}
            </tr>
          </thead>
          <tbody>
            {first > 0 && <tr class="gap" aria-hidden="true"><td colSpan={columns.length} style={{ height: `${first * rowHeight}px` }} /></tr>}
            {shown.slice(first, last).map((r, i) => (
              <tr key={p.id(r)} aria-rowindex={first + i + 2} onClick={(e) => opens(e) && setQuery({ open: p.id(r) }, true)}>
                {columns.map((c, n) => (
                  <td key={c.key} class={cell(c)}>
                    {n === 0
                      ? <button type="button" class="row-name" onClick={() => setQuery({ open: p.id(r) }, true)}>{c.show ? c.show(r) : c.value(r)}</button>
                      : c.show ? c.show(r) : present(c.value(r))}
                  </td>
                ))}
              </tr>
            ))}
            {last < shown.length && <tr class="gap" aria-hidden="true"><td colSpan={columns.length} style={{ height: `${(shown.length - last) * rowHeight}px` }} /></tr>}
          </tbody>
        </table>
        {shown.length === 0 && (
          <Empty icon="search" title={`No ${p.label} match`}>
            <button type="button" onClick={() => go(location.pathname)}>Clear the filter</button>
          </Empty>
        )}
      </div>
      {opened && (
        <Dialog title={name(opened)} wide onClose={() => setQuery({ open: undefined })} actions={p.actions?.(opened)}>
          <Facts>
            {p.columns.map((c) => <Fact key={c.key} name={c.title}><span class={c.mono ? "mono" : ""}>{c.show ? c.show(opened) : present(c.value(opened))}</span></Fact>)}
          </Facts>
          {p.detail?.(opened)}
        </Dialog>
      )}
    </div>
  );
}

function Head<T>({ column: c, order, initial }: { column: Column<T>; order: string; initial: string }) {
  const by = order.replace(/^-/, "") === c.key;
  const down = by && order.startsWith("-");
  const next = by && !down ? "-" + c.key : c.key;
  return (
    <th scope="col" class={cell(c)} aria-sort={by ? (down ? "descending" : "ascending") : undefined}>
      <button type="button" onClick={() => setQuery({ sort: next === initial ? undefined : next })}>
        {c.title}
        {by && <Icon name={down ? "down" : "up"} size={14} />}
      </button>
    </th>
  );
}

const cell = <T,>(c: Column<T>): string => [c.number ? "number" : "", c.mono ? "mono" : "", c.grow ? "grow" : ""].join(" ").trim();

const present = (v: unknown): ComponentChildren => (v === undefined || v === null || v === "" ? <span class="none">–</span> : typeof v === "number" ? count(v) : String(v));

/** opens reports whether a click was meant for the row, not for something in it or a selection of text. */
function opens(e: MouseEvent): boolean {
  return !(e.target as Element).closest("a,button,input,select") && String(getSelection()) === "";
}

function ordered<T>(rows: T[], columns: Column<T>[], order: string): T[] {
  const c = columns.find((c) => c.key === order.replace(/^-/, ""));
  if (!c) return rows;
  const sign = order.startsWith("-") ? -1 : 1;
  const keyed = rows.map((r) => ({ r, v: (c.order ? c.order(r) : c.value(r)) ?? "" }));
  const compare = c.mono ? (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0) : natural; // digits of addresses are no numbers
  keyed.sort((a, b) => sign * (typeof a.v === "number" && typeof b.v === "number" ? a.v - b.v : compare(String(a.v), String(b.v))));
  return keyed.map((k) => k.r);
}

/** useStill holds new rows back while somebody scrolls. */
function useStill<T>(rows: T[] | undefined, frame: { current: HTMLElement | null }): T[] | undefined {
  const [still, setStill] = useState(rows);
  const moved = useRef(0);
  useEffect(() => {
    const f = frame.current;
    if (!f) return;
    const note = () => (moved.current = performance.now());
    f.addEventListener("scroll", note, { passive: true });
    return () => f.removeEventListener("scroll", note);
  }, [rows === undefined || rows.length === 0]);
  useEffect(() => {
    const left = moved.current + settle - performance.now();
    if (moved.current === 0 || left <= 0) {
      setStill(rows);
      return;
    }
    const t = setTimeout(() => setStill(rows), left);
    return () => clearTimeout(t);
  }, [rows]);
  return rows && rows.length <= 200 ? rows : still;
}

/** csv is RFC 4180, and no cell begins with what a spreadsheet would take for a formula (OWASP CSV injection). */
export function csv<T>(rows: T[], columns: Column<T>[]): string {
  const quote = (v: unknown) => {
    let s = v === undefined || v === null ? "" : String(v);
    if (/^[=+\-@\t\r]/.test(s) && typeof v === "string") s = "'" + s;
    return /[",\n\r]/.test(s) ? `"${s.replace(/"/g, '""')}"` : s;
  };
  return [columns.map((c) => quote(c.key)), ...rows.map((r) => columns.map((c) => quote(c.value(r))))].map((l) => l.join(",") + "\r\n").join("");
}
