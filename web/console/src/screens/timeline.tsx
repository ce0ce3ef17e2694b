// What happened, with its cause. Every filter and every event has an address that can be sent to somebody.
import { useMemo } from "preact/hooks";
import type { Event } from "../api";
import { clock, dot, plural } from "../format";
import { now, useFeed, useTick } from "../live";
import { setQuery, usePlace } from "../route";
import { Command, Copy, Empty, Loading, Page, State, Time } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { chain, kindWords, levelTone, tells } from "../words";

const spans: [string, string, number][] = [
  ["", "All", Infinity], ["15m", "15 min", 15 * 60e3], ["1h", "1 h", 3600e3], ["1d", "1 day", 86400e3],
];

const columns: Column<Event>[] = [
  { key: "time", title: "When", value: (e) => e.time, order: (e) => e.id, show: (e) => <Time at={e.time} millis /> },
  { key: "level", title: "Level", value: (e) => e.level, show: (e) => <State tone={levelTone(e.level)}>{e.level === "warn" ? "warning" : e.level}</State>, from: "medium" },
  { key: "text", title: "What", value: (e) => e.text, grow: true, show: (e) => tells(e, true) },
  { key: "reason", title: "Cause", value: (e) => e.reason, from: "medium", grow: true, show: (e) => (e.reason ? chain(e.reason) : <span class="none">–</span>) },
  { key: "kind", title: "Kind", value: (e) => e.kind, show: (e) => kindWords(e.kind), from: "never" },
  { key: "segment", title: "Segment", value: (e) => e.segment, from: "never" },
  { key: "peer", title: "Peer", value: (e) => e.peer, from: "never" },
  { key: "port", title: "Port", value: (e) => e.port, from: "never" },
  { key: "alert", title: "Alert", value: (e) => e.alert, from: "never", mono: true },
  { key: "epoch", title: "Tenure (epoch)", value: (e) => e.epoch, from: "never", mono: true },
  { key: "id", title: "Number", value: (e) => e.id, from: "never", mono: true, show: (e) => String(e.id) },
];

export function Timeline() {
  const events = useFeed("/events");
  const { query } = usePlace();
  const kind = query.get("kind") ?? "", level = query.get("level") ?? "", span = query.get("span") ?? "";
  const length = spans.find(([key]) => key === span)?.[2] ?? Infinity;
  const kinds = useMemo(() => [...new Set((events.data ?? []).map((e) => e.kind))].sort(), [events.data]);
  const keep = useMemo(() => (e: Event) => {
    if (kind && e.kind !== kind) return false;
    if (level === "warn" && e.level === "info") return false;
    if (level === "error" && e.level !== "error") return false;
    return Date.parse(e.time) > now() - length;
  }, [kind, level, length]);
  return (
    <Page title="Timeline" lead="What happened on this node and what it heard of others, with the cause.">
      {events.data === undefined ? <Quiet refused={events.refused} /> : (
        <>
          <Strip events={events.data.filter(keep)} span={length} />
          <Table
            label="events" rows={events.data} columns={columns} id={(e) => String(e.id)} sort="-time" file="drawbridge-events" keep={keep}
            name={(e) => tells(e, true)} empty={<Nothing />}
            filters={(
              <div class="filters">
                <span role="group" aria-label="How far back" class="segmented">
                  {spans.map(([key, words]) => <button key={key} type="button" aria-pressed={span === key} onClick={() => setQuery({ span: key })}>{words}</button>)}
                </span>
                <label><span class="hidden">Level</span>
                  <select value={level} onChange={(e) => setQuery({ level: e.currentTarget.value })}>
                    <option value="">Any level</option><option value="warn">Warnings and errors</option><option value="error">Errors</option>
                  </select>
                </label>
                <label><span class="hidden">Kind</span>
                  <select value={kind} onChange={(e) => setQuery({ kind: e.currentTarget.value })}>
                    <option value="">Any kind</option>
                    {[...new Set([...kinds, ...(kind ? [kind] : [])])].map((k) => <option key={k} value={k}>{kindWords(k)}</option>)}
                  </select>
                </label>
              </div>
            )}
            actions={(e) => <Copy text={`${location.origin}/timeline?open=${e.id}`} label="Copy link" />}
          />
        </>
      )}
    </Page>
  );
}

/** A stream of events says nothing until something happens; after that long there was nothing. */
function Quiet({ refused }: { refused?: string }) {
  const status = useFeed("/status").data;
  return status && !refused ? <Nothing /> : <Loading refused={refused} />;
}

const Nothing = () => (
  <Empty icon="timeline" title="Nothing has happened since the daemon started">
    <p>Events appear here as they happen. Those of former runs are in the journal of the node:</p>
    <Command>journalctl -u drawbridge</Command>
  </Empty>
);

/** Strip shows all that is listed on one line of time. */
function Strip({ events, span }: { events: Event[]; span: number }) {
  useTick();
  if (events.length === 0) return null;
  const end = now();
  const begin = Number.isFinite(span) ? end - span : Math.min(Date.parse(events[0]!.time), end - 60e3);
  const x = (t: number) => ((t - begin) / (end - begin)) * 100;
  const seen = new Set<string>(); // one mark a place is enough
  const marks = events.filter((e) => {
    const key = `${Math.round(x(Date.parse(e.time)) * 4)} ${e.level} ${e.kind === "segment_active"}`;
    return !seen.has(key) && seen.add(key);
  });
  return (
    <figure class="strip">
      <svg width="100%" height="58" role="img" aria-label={`${plural(events.length, "event")} between ${clock(begin, end)} and now; the table lists them`}>
        <line class="axis" x1="0" x2="100%" y1="38" y2="38" />
        {marks.map((e) => <line key={e.id} class={`${e.level} ${e.kind === "segment_active" ? "move" : ""}`} x1={`${x(Date.parse(e.time))}%`} x2={`${x(Date.parse(e.time))}%`} y1={e.kind === "segment_active" ? 6 : e.level === "info" ? 26 : 16} y2="38" />)}
      </svg>
      <figcaption><span>{clock(begin, end)}</span><span>tall: a segment changed hands{dot}middle: warnings</span><span>now</span></figcaption>
    </figure>
  );
}
