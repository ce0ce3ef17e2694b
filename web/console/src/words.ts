// What the state of the network is called. The same words are used by `drawbridge status`.
import type { Event, Gateway, Segment, Status } from "./api";
import type { Tone } from "./ui/parts";

/** The answer to "which one is active?" for one segment. */
export function carrierTone(s: Segment): Tone {
  const open = s.gateways.filter((g) => g.gate === "open").length;
  if (open > 1) return "bad";
  if (!s.active) return "bad";
  const regent = regency(s);
  if (regent) return regent.tone;
  return s.gateways.some((g) => g.peer !== s.active && g.ready) || s.gateways.length < 2 ? "ok" : "warn";
}

/** chain is a cause with what caused it, and so on, for people. */
export const chain = (cause: string): string => cause.replace(/ <- /g, " ← ");

/** tells is what an event says; without its cause, where that stands beside it. */
export function tells(e: Event, beside = false): string {
  const tail = ": " + e.reason;
  return chain(beside && e.reason && e.text.endsWith(tail) ? e.text.slice(0, -tail.length) : e.text);
}

/** regency says what is special about a gate that is open although no majority of the voters answers. */
export function regency(s: Segment): { tone: Tone; text: string } | undefined {
  if (!s.active) return undefined;
  if (s.cause.startsWith("UNSAFE")) return { tone: "bad", text: "UNSAFE: open without a majority, on what the wire says alone" };
  if (s.cause.startsWith("held:")) return { tone: "warn", text: "held open without a majority: every other gateway promises not to open" };
  return undefined;
}

/** quorumLoss is the network's choice of what becomes of a segment without a majority of the voters. */
export function quorumLoss(s: Segment): { tone: Tone; text: string } {
  switch (s.quorum_loss) {
    case "segment": return { tone: "bad", text: "UNSAFE: the gateways elect on the wire; two are active when it is cut" };
    case "hold": return { tone: "idle", text: "the active gateway goes on while every other one promises not to open" };
    default: return { tone: "idle", text: "the gate shuts" };
  }
}

/** twoOpen are the gateways of a segment of which more than one has its gate open: frames would go round. */
export function twoOpen(s: Segment): string[] {
  const open = s.gateways.filter((g) => g.gate === "open").map((g) => g.peer);
  return open.length > 1 ? open : [];
}

/** redundancy says whether somebody could take over. */
export function redundancy(s: Segment): string {
  const others = s.gateways.filter((g) => g.peer !== s.active);
  const ready = others.filter((g) => g.ready).map((g) => g.peer);
  if (ready.length > 0) return `${ready.join(", ")} could take over`;
  if (others.length === 0) return "no second gateway";
  return "nobody could take over";
}

export function gatewayTone(g: Gateway, s: Segment): Tone {
  if (g.peer === s.active) return g.gate === "open" ? "ok" : "warn";
  return g.ready ? "idle" : "warn";
}

export function gatewayWord(g: Gateway, s: Segment): string {
  if (g.peer === s.active) return "active";
  if (g.mode === "passive") return "passive";
  return g.ready ? "standby" : "not ready";
}

/** ownRole is what the node that serves this page does. */
export function ownRole(status: Status, segments: Segment[]): { word: string; tone: Tone } {
  const mine = segments.filter((s) => s.gateways.some((g) => g.peer === status.name));
  const active = mine.filter((s) => s.active === status.name).map((s) => s.name);
  if (active.length > 0) return { word: `active gateway of ${active.join(", ")}`, tone: "ok" };
  if (mine.length > 0) return { word: `standby gateway of ${mine.map((s) => s.name).join(", ")}`, tone: "idle" };
  if (status.roles.includes("voter")) return { word: "witness", tone: "idle" };
  return { word: "peer", tone: "idle" };
}

/** overall is the state that the favicon shows. */
export function overall(status: Status | undefined, segments: Segment[]): "ok" | "warn" | "bad" {
  const tones = segments.map(carrierTone);
  if (tones.includes("bad") || status?.clone) return "bad";
  return tones.includes("warn") || (status?.problems.length ?? 0) > 0 || status?.ready === false ? "warn" : "ok";
}

/** Move is one change of a segment's carrier, as this node heard of it. */
export interface Move {
  segment: string;
  from?: string;
  to: string;
  start: number; // ms: nobody carried it from here on
  end: number; // ms: somebody did again
  reason?: string;
  marks: Event[]; // what happened on the way
}

/** How long before its end a move may have begun. Longer, and it was an outage that nobody ended. */
const longest = 10 * 60_000;

/** moves finds changes of carrier in what happened, the last one first. */
export function moves(events: Event[], segment?: string): Move[] {
  const found: Move[] = [];
  events.forEach((e, i) => {
    if (e.kind !== "segment_active" || (segment && e.segment !== segment)) return;
    let end = Date.parse(e.time);
    const marks: Event[] = [e];
    let from: string | undefined;
    let start = end;
    for (let k = i - 1; k >= 0; k--) {
      const was = events[k]!;
      if (was.segment !== e.segment) continue;
      if (was.kind === "segment_active") {
        from ??= was.peer;
        break;
      }
      if (end - Date.parse(was.time) > longest) continue;
      marks.unshift(was);
      if (was.kind === "segment_inactive" || was.kind === "gate_shut") {
        start = Math.min(start, Date.parse(was.time));
        from ??= was.peer;
      }
    }
    for (let k = i + 1; k < events.length; k++) { // the gate of this node opens after it has heard that it may
      const next = events[k]!;
      if (Date.parse(next.time) - end > 2000 || (next.segment === e.segment && /^segment_/.test(next.kind))) break;
      if (next.segment === e.segment) marks.push(next);
    }
    const opened = marks.find((x) => x.kind === "gate_open" && x.epoch === e.epoch); // on the node that carries it now
    if (opened && Date.parse(opened.time) >= start) end = Math.min(end, Date.parse(opened.time));
    found.push({ segment: e.segment ?? "", from, to: e.peer ?? "", start, end, reason: e.reason, marks });
  });
  return found.reverse();
}

/** kindWords turns a kind into words: gate_open is "gate open". */
export const kindWords = (kind: string): string => kind.replace(/_/g, " ");

export const levelTone = (level: Event["level"]): Tone => (level === "error" ? "bad" : level === "warn" ? "warn" : "idle");
