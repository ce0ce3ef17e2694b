// What the node says, as it changes. Every screen watches what it shows; a stream is shared by all that watch the same
// and ends when nobody does. Browsers keep at most six connections to an origin over HTTP/1.1, for all tabs together, and
// a seventh request waits for ever. Over it a tab keeps few streams, one that is not seen none, and asks for the rest.
import { useEffect, useReducer } from "preact/hooks";
import { address, Refusal, refusalOf, said } from "./api";
import type { Event, Reads, Status } from "./api";
import { listen, type Message } from "./sse";

/** Silence after which the status stream counts as dead: it carries the uptime, which changes every second. */
const silence = 3500;
const silenceUnseen = 70_000; // browsers let a tab that is not seen act once a minute
const linger = 2000; // between two screens a stream stays open for the next one
const askEvery = 1000; // what has no stream
const askUnseen = 5000;
const keptEvents = 4096; // as many as the node keeps

export interface Feed<T> {
  data?: T;
  at: number; // when it was heard, by the clock of the browser, ms
  refused?: string; // why there is none
}

/** How many streams a tab may keep: HTTP/2 carries them all in one connection. */
const most = /^h[23]/.test((performance.getEntriesByType("navigation")[0] as PerformanceNavigationTiming | undefined)?.nextHopProtocol ?? "") ? 90 : 3;
let streaming = 0;

class Stream {
  feed: Feed<unknown> = { at: 0 };
  broken = false;
  private abort?: AbortController;
  private watchers = new Set<() => void>();
  private closing?: ReturnType<typeof setTimeout>;
  private lastID = "";

  constructor(readonly url: string, readonly essential: boolean, private take: (old: unknown, m: Message) => unknown) {}

  watch(told: () => void): () => void {
    this.watchers.add(told);
    clearTimeout(this.closing);
    this.open();
    return () => {
      this.watchers.delete(told);
      if (this.watchers.size === 0) this.closing = setTimeout(() => this.close(), linger);
    };
  }

  get wanted(): boolean {
    return !kept && this.watchers.size > 0 && (this.essential || !document.hidden);
  }

  open(): void {
    if (this.abort || !this.wanted) return;
    this.abort = new AbortController();
    void this.run(this.abort.signal);
  }

  close(): void {
    this.abort?.abort();
    this.abort = undefined;
  }

  private async run(signal: AbortSignal): Promise<void> {
    for (let wait = 250; !signal.aborted; wait = Math.min(wait * 2, 3000)) {
      try {
        if (streaming < most && !(document.hidden && most < 10)) {
          streaming++;
          try {
            await listen(this.url, this.lastID, signal, (m) => {
              wait = 250;
              this.hear(m);
            });
          } finally {
            streaming--;
          }
        }
        await this.ask(signal);
        wait = document.hidden ? askUnseen : askEvery;
      } catch (err) {
        if (signal.aborted) return;
        this.broken = true;
        if (err instanceof Refusal && err.status > 0) this.feed = { ...this.feed, refused: said(err) };
        this.tell();
      }
      await new Promise((done) => setTimeout(done, wait));
      if (wait >= askEvery) wait = 125; // doubled by the loop
    }
  }

  /** ask is the same without a stream. */
  private async ask(signal: AbortSignal): Promise<void> {
    const answer = await fetch(this.url, { headers: { Accept: "application/json" }, signal, cache: "no-store" });
    if (!answer.ok) throw await refusalOf(answer);
    this.hear({ id: "", type: "answer", data: await answer.text() });
  }

  private hear(m: Message): void {
    if (m.id) this.lastID = m.id;
    this.broken = false;
    this.feed = { data: this.take(this.feed.data, m), at: Date.now() };
    this.tell();
  }

  tell(): void {
    for (const w of this.watchers) w();
    judge();
  }
}

const streams = new Map<string, Stream>();

const whole = (_: unknown, m: Message): unknown => JSON.parse(m.data);

/** grow adds an event to those that are known, and what was missed as a gap. */
function grow(old: unknown, m: Message): unknown {
  const events = (old as Event[] | undefined) ?? [];
  const data = JSON.parse(m.data);
  if (Array.isArray(data)) {
    const last = events.length > 0 ? events[events.length - 1]!.id : -1;
    return data.length > 0 && data[data.length - 1].id === last ? events : data;
  }
  if (m.type === "missed" && data.id === undefined) return events;
  if (events.length > 0 && events[events.length - 1]!.id >= data.id) return events;
  return [...events.slice(-keptEvents + 1), data];
}

function stream(path: keyof Reads, query: Record<string, string | undefined> = {}): Stream {
  const url = address(path, query);
  let s = streams.get(url);
  if (!s) {
    s = new Stream(url, path === "/status" || path === "/segments", path === "/events" ? grow : whole);
    streams.set(url, s);
  }
  return s;
}

function review(): void {
  for (const s of streams.values()) {
    if (!s.wanted) s.close();
    else s.open();
  }
}

// A page that is kept for the back button would keep its connections too, and the next page would wait for them.
let kept = false;
addEventListener("pagehide", () => {
  kept = true;
  review();
});
addEventListener("pageshow", () => {
  kept = false;
  review();
});
document.addEventListener("visibilitychange", () => {
  if (most < 10) for (const s of streams.values()) s.close(); // streams become questions, and the other way
  review();
});

function useRepaint(): () => void {
  return useReducer((n: number, _: void) => n + 1, 0)[1] as () => void;
}

/** useFeed watches one answer of the API. */
export function useFeed<P extends keyof Reads>(path: P, query?: Record<string, string | undefined>): Feed<Reads[P]> {
  const s = stream(path, query);
  const repaint = useRepaint();
  useEffect(() => s.watch(repaint), [s]);
  return s.feed as Feed<Reads[P]>;
}

/** Whether what is shown is the present. */
export interface Liveness {
  state: "connecting" | "live" | "stale";
  heard: number; // when the node was heard last, ms; 0: never
}

let liveness: Liveness = { state: "connecting", heard: 0 };
const judges = new Set<() => void>();

function judge(): void {
  const s = streams.get(address("/status"));
  if (!s) return;
  const heard = s.feed.at;
  const dead = s.broken || (heard > 0 && Date.now() - heard > (document.hidden ? silenceUnseen : silence));
  const state = dead ? "stale" : heard > 0 ? "live" : "connecting";
  if (state === liveness.state && state !== "live") return;
  const changed = state !== liveness.state;
  liveness = { state, heard };
  if (changed) for (const j of judges) j();
}

setInterval(judge, 250);

export function useLiveness(): Liveness {
  const repaint = useRepaint();
  useEffect(() => {
    judges.add(repaint);
    return () => void judges.delete(repaint);
  }, []);
  return liveness;
}

/** now is the node's clock, which need not agree with the browser's, as of when it was heard last. */
export function now(): number {
  const feed = streams.get(address("/status"))?.feed as Feed<Status> | undefined;
  if (!feed?.data) return Date.now();
  const then = Date.parse(feed.data.started) + feed.data.uptime_s * 1000;
  return liveness.state === "stale" ? then : then + (Date.now() - feed.at);
}

/** useTick repaints once a second, for ages. */
export function useTick(): void {
  const repaint = useRepaint();
  useEffect(() => {
    const t = setInterval(repaint, 1000);
    return () => clearInterval(t);
  }, []);
}
