// Home answers one question: who is active, since when, and why?
import type { Segment } from "../api";
import { dot, duration, list } from "../format";
import { now, useFeed, useTick } from "../live";
import { Ruler } from "../ruler";
import { Picture } from "../picture";
import { Age, Card, Empty, Loading, Page, Problems, State, Time } from "../ui/parts";
import { silent, standing } from "../voters";
import { carrierTone, chain, levelTone, moves, ownRole, quorumLoss, redundancy, regency, tells } from "../words";

export function Home() {
  const status = useFeed("/status");
  const segments = useFeed("/segments");
  const peers = useFeed("/peers").data;
  const macs = useFeed("/macs", { }).data;
  const voters = useFeed("/voters").data;
  const events = useFeed("/events", { watch: undefined });
  if (!status.data || !segments.data || !peers) return <Page title="Home"><Loading refused={status.refused ?? segments.refused} /></Page>;
  const s = status.data;
  const role = ownRole(s, segments.data);
  const happened = events.data ?? [];
  const last = moves(happened)[0];
  const failing = [
    ...s.problems,
    ...(voters?.here && !voters.quorum ? [{ summary: "no majority of the voters answers: no gateway may be active", remedy: "start the voters that are silent, and see that they reach each other" }] : []),
    ...silent(voters).map((v) => ({ summary: `voter ${v.name} does not answer`, remedy: "start it, or make another peer a voter and remove it" })),
    ...segments.data.flatMap((seg) => seg.gateways.filter((g) => g.reasons.length > 0 && !(g.peer === seg.active) && g.mode !== "passive" && !g.ready)
      .map((g) => ({ summary: `${g.peer} could not take over ${seg.name}: ${list(g.reasons)}`, remedy: "" }))),
  ];
  return (
    <>
      <header class="hero">
        <h1 id="title" tabIndex={-1}>
          {segments.data.length === 0 ? <>No segment is bridged in {s.network.name}: <a href="/segments">bridge one</a></> : segments.data.map((seg) => <Sentence key={seg.name} segment={seg} />)}
        </h1>
        <p class="lead">
          You are on <b>{s.name}</b>, {article(role.word)} {role.word}, up for <Age at={s.started} />.{" "}
          {s.peers.total === 0
            ? <>It is alone: <a href="/tokens">invite a peer</a>.</>
            : <>It reaches {s.peers.direct + s.peers.relayed} of {s.peers.total} other peers{s.peers.relayed > 0 && <>, {s.peers.relayed} through others</>}.</>}
        </p>
      </header>
      <div class="grid">
        <Card title="Network" wide aside={<span class="aside">as {s.name} sees it</span>}>
          <Picture status={s} peers={peers} segments={segments.data} macs={macs ?? []} />
        </Card>
        <div class="stack">
        <Card title="Checks" aside={failing.length === 0 ? <State tone="ok">all pass</State> : <State tone="warn">{failing.length} failing</State>}>
          {failing.length > 0
            ? <Problems problems={failing} />
            : <p class="quiet-text">Nothing is wrong as far as {s.name} can tell.</p>}
          {voters?.here && <p class="fine wraps"><State tone={standing(voters).tone}>{standing(voters).text}</State> <a href="/peers">Who decides</a></p>}
        </Card>
        <Card title="What happened" aside={<a class="aside" href="/timeline">timeline</a>}>
          {happened.length === 0
            ? <Empty icon="timeline" title="Nothing has happened">Events appear here as they happen. Those of former runs are in the journal: <code>journalctl -u drawbridge</code>.</Empty>
            : (
              <ul class="recent">
                {happened.slice(-7).reverse().map((e) => (
                  <li key={e.id}>
                    <a href={`/timeline?open=${e.id}`}>
                      <Time at={e.time} />
                      <State tone={levelTone(e.level)}><span class="recent-text">{tells(e)}</span></State>
                    </a>
                  </li>
                ))}
              </ul>
            )}
        </Card>
        </div>
        <Card title="Last move" aside={<a class="aside" href="/timeline?kind=segment_active">all moves</a>}>
          {last
            ? <Ruler move={last} />
            : <Empty icon="segment" title="No move is known">A move appears here, in milliseconds, when a gateway takes over from another. <a href="/segments">Rehearse one</a> to see what it costs.</Empty>}
        </Card>
      </div>
    </>
  );
}

const article = (words: string): string => (/^[aeiou]/.test(words) ? "an" : "a");

/** Sentence is the answer for one segment. */
function Sentence({ segment: s }: { segment: Segment }) {
  useTick();
  const tone = carrierTone(s);
  const policy = quorumLoss(s);
  const regent = regency(s);
  return (
    <span class={`sentence ${tone}`}>
      <State tone={tone}>
        {s.active
          ? <><b>{s.active}</b> carries <b>{s.name}</b> since <Time at={s.since} /></>
          : <><b>Nobody</b> carries <b>{s.name}</b> since <Time at={s.since} /></>}
      </State>
      <span class="sentence-why">
        for {duration(now() - Date.parse(s.since))}{s.cause && <>{dot}{chain(s.cause)}</>}{dot}{redundancy(s)}{dot}without a majority: {policy.tone === "idle" ? policy.text : <b>{policy.text}</b>}
      </span>
      {regent && <span class="sentence-why"><State tone={regent.tone}>{regent.text}</State></span>}
    </span>
  );
}
