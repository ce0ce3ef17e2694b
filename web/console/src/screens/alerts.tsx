// What is wrong just now, and who is told of what happens.
import { useState } from "preact/hooks";
import { change, said } from "../api";
import type { Alert, AlertSink, SinkTest } from "../api";
import { dot, duration, list, plural } from "../format";
import { now, useFeed, useTick } from "../live";
import { may, who, whyNot } from "../session";
import { FormDialog, Gated } from "../ui/form";
import { Icon } from "../ui/icons";
import { Age, Card, Empty, Loading, Page, State, Time, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";
import { levelTone } from "../words";

export function Alerts() {
  const alerts = useFeed("/alerts");
  const sinks = useFeed("/alerts/sinks");
  const [known, setKnown] = useState<Alert>();
  const count = alerts.data?.length ?? 0;
  const bad = alerts.data?.some((a) => a.severity === "error");
  return (
    <Page title="Alerts" lead="What is wrong just now as this peer sees it, and who is told of what happens.">
      <div class="stack">
        <Card title="Wrong just now" aside={alerts.data && (count === 0 ? <State tone="ok">nothing</State> : <State tone={bad ? "bad" : "warn"}>{plural(count, "condition", "conditions")}</State>)}>
          {!alerts.data ? <Loading refused={alerts.refused} /> : count === 0
            ? <p class="quiet-text">Nothing is wrong as far as this peer can tell. What begins and ends is on the <a href="/timeline?kind=alert_raised">timeline</a>.</p>
            : <ul class="alerts">{alerts.data.map((a) => <One key={a.id} alert={a} onKnown={() => setKnown(a)} />)}</ul>}
        </Card>
        <section aria-labelledby="told">
          <h2 id="told" class="between">Who is told</h2>
          {!sinks.data ? <Loading refused={sinks.refused} /> : <Sinks sinks={sinks.data} />}
        </section>
      </div>
      {known && <Acknowledge alert={known} onClose={() => setKnown(undefined)} />}
    </Page>
  );
}

const words: Record<Alert["severity"], string> = { error: "Error", warn: "Warning", info: "Notice" };

function One({ alert: a, onKnown }: { alert: Alert; onKnown: () => void }) {
  const k = a.acknowledged;
  return (
    <li class={k ? "known" : ""}>
      <span class={`mark ${levelTone(a.severity)}`}><Icon name={levelTone(a.severity)} size={18} /></span>
      <div class="alert-text">
        <strong><span class="hidden">{words[a.severity]}: </span>{a.text}</strong>
        <p>{a.remedy}</p>
        <p class="fine">{words[a.severity]} for <Age at={a.since} />{dot}since <Time at={a.since} /></p>
        {k && <p class="fine"><State tone="ok">{k.by} knows of it since <Time at={k.at} />{k.comment && <>: {k.comment}</>}</State></p>}
      </div>
      <div class="alert-tools">
        {k
          ? <Gated why={whyNot("operator")} onClick={() => void takeBack(a)}>Take back</Gated>
          : <Gated why={whyNot("operator")} onClick={onKnown}>I know of it…</Gated>}
      </div>
    </li>
  );
}

async function takeBack(a: Alert): Promise<void> {
  try {
    await change("DELETE /alerts/{id}/acknowledge", undefined, { id: a.id });
    toast("Nobody has said that they know of it any more");
  } catch (err) {
    toast(said(err), "warn");
  }
}

function Acknowledge({ alert: a, onClose }: { alert: Alert; onClose: () => void }) {
  const [comment, setComment] = useState("");
  return (
    <FormDialog
      title="You know of it" verb="Say so" onClose={onClose}
      act={async () => {
        await change("POST /alerts/{id}/acknowledge", { comment, by: who() }, { id: a.id });
        toast("Noted until it ends");
      }}
    >
      <p>{a.text}</p>
      <p class="quiet-text">Others see on this peer that you know. It is forgotten when the condition ends, and changes nothing else.</p>
      <label class="field"><span>What others should know; may be empty</span><input maxLength={500} autocomplete="off" placeholder="Who looks after it, until when" value={comment} onInput={(e) => setComment(e.currentTarget.value)} /></label>
    </FormDialog>
  );
}

/** how says in a word how telling a sink goes. */
function how(s: AlertSink): { tone: Tone; word: string } {
  if (!s.told) return { tone: "idle", word: `told by ${list(s.peers)}` };
  if (s.problems.length > 0) return { tone: "bad", word: "has a problem" };
  if (s.last_error) return { tone: "bad", word: "fails" };
  return s.took ? { tone: "ok", word: "works" } : { tone: "idle", word: "not tried yet" };
}

const kinds: Record<AlertSink["kind"], string> = { webhook: "Webhook", command: "Command", syslog: "Syslog" };
const severities: Record<AlertSink["severity"], string> = { info: "everything", warn: "warnings and errors", error: "errors" };

const columns: Column<AlertSink>[] = [
  { key: "name", title: "Sink", value: (s) => s.name },
  { key: "state", title: "State", value: (s) => how(s).word, show: (s) => <State tone={how(s).tone}>{how(s).word}</State> },
  { key: "kind", title: "Kind", value: (s) => kinds[s.kind], from: "medium" },
  { key: "target", title: "Where", value: (s) => s.target, mono: true, grow: true, from: "medium" },
  { key: "queued", title: "Waiting", value: (s) => (s.told ? s.queued : undefined), number: true },
  { key: "delivered", title: "Taken", value: (s) => (s.told ? s.delivered : undefined), number: true, from: "medium" },
  { key: "dropped", title: "Dropped", value: (s) => (s.told ? s.dropped : undefined), number: true, from: "wide", show: (s) => (s.dropped > 0 ? <State tone="bad">{s.dropped}</State> : s.told ? "0" : <span class="none">–</span>) },
  { key: "took", title: "Last taken", value: (s) => s.took, order: (s) => (s.took ? Date.parse(s.took) : 0), from: "wide", show: (s) => (s.took ? <Time at={s.took} /> : <span class="none">–</span>) },
  { key: "events", title: "Told of", value: (s) => `${severities[s.severity]}${s.events.length > 0 ? " of " + s.events.join(", ") : ""}`, from: "never" },
  { key: "peers", title: "Told by", value: (s) => (s.peers.length > 0 ? s.peers.join(", ") : "every peer"), from: "never" },
];

function Sinks({ sinks }: { sinks: AlertSink[] }) {
  return (
    <Table
      label="sinks" rows={sinks} columns={columns} id={(s) => s.name} name={(s) => `Sink ${s.name}`} sort="name" file="drawbridge-sinks"
      empty={(
        <Empty icon="bell" title="Nobody is told of what happens">
          <p>Add a webhook, a collector of syslog messages or a command to the <a href="/config">configuration</a>, and send it a test here.</p>
        </Empty>
      )}
      detail={(s) => <Detail sink={s} />}
    />
  );
}

function Detail({ sink: s }: { sink: AlertSink }) {
  useTick();
  const [busy, setBusy] = useState(false);
  const [came, setCame] = useState<SinkTest>();
  const test = async () => {
    setBusy(true);
    setCame(undefined);
    try {
      setCame(await change("POST /alerts/sinks/{name}/test", { by: who() }, { name: s.name }));
    } catch (err) {
      setCame({ sink: s.name, ok: false, error: said(err), took_ms: 0 });
    }
    setBusy(false);
  };
  return (
    <>
      {s.problems.map((p) => <p key={p.summary} class="wrong"><Icon name="bad" size={18} /> {p.summary}: {p.remedy}</p>)}
      {s.last_error && (
        <p class="wrong">
          <Icon name="bad" size={18} /> {s.last_error} ({plural(s.failures, "attempt", "attempts")}
          {s.next_attempt && Date.parse(s.next_attempt) > now() && <>, again in {duration(Date.parse(s.next_attempt) - now())}</>})
        </p>
      )}
      <h3 class="below">Test</h3>
      <p class="quiet-text">A test is told at once, beside what waits. When it is taken, what waits is told, too.</p>
      <div class="card-tools">
        <Gated primary why={busy ? "A test is on its way" : whyNot("operator")} onClick={() => void test()}>{busy && <span class="spinner" aria-hidden="true" />} Send a test</Gated>
        <span role="status">
          {came && <State tone={came.ok ? "ok" : "bad"}>{came.ok ? `taken in ${came.took_ms.toFixed(came.took_ms < 10 ? 1 : 0)} ms` : came.error}</State>}
        </span>
      </div>
      {!may("operator") && <p class="fine">{whyNot("operator")}.</p>}
    </>
  );
}
