// What was changed or tried on this peer, by whom. Reading is not written down.
import { useState } from "preact/hooks";
import { inLog, read, said } from "../api";
import type { AuditRecord } from "../api";
import { useAnswer } from "../answer";
import { setQuery, usePlace } from "../route";
import { may, whyNot } from "../session";
import { Empty, Loading, Page, State, Time } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";

const columns: Column<AuditRecord>[] = [
  { key: "time", title: "When", value: (r) => r.time, order: (r) => r.id, show: (r) => <Time at={r.time} /> },
  { key: "who", title: "Who", value: (r) => r.who || "nobody known", from: "medium" },
  { key: "what", title: "What", value: (r) => `${r.method} ${r.path.replace(/^\/api\/v\d+/, "")}`, mono: true, grow: true },
  { key: "status", title: "Came of it", value: (r) => r.status, show: (r) => <State tone={r.status < 400 ? "ok" : r.status < 500 ? "warn" : "bad"}>{r.status < 400 ? "done" : `refused, ${r.status}`}</State> },
  { key: "from", title: "From", value: (r) => r.from, mono: true, from: "wide" },
  { key: "reason", title: "Why refused", value: (r) => r.reason, from: "never" },
  { key: "by", title: "Known by", value: (r) => r.by, from: "never" },
  { key: "token", title: "Token", value: (r) => r.token, from: "never", mono: true },
  { key: "request", title: "Request", value: (r) => r.request, from: "never", mono: true },
];

const page = 200;

export function Audit() {
  return may("admin") ? <Log /> : <Page title="Audit log"><Empty icon="timeline" title="Only admins see the audit log">{whyNot("admin")}.</Empty></Page>;
}

function Log() {
  const { query } = usePlace();
  const who = query.get("who") ?? "", path = query.get("path") ?? "", failed = query.get("failed") === "1";
  const asked = { who, path: path && inLog(path), failed: failed || undefined, limit: page };
  const key = JSON.stringify(asked);
  const log = useAnswer(() => read("/audit", asked), key);
  const [older, setOlder] = useState<{ key: string; rows: AuditRecord[]; end: boolean }>({ key, rows: [], end: false });
  const more = older.key === key ? older : { key, rows: [], end: false };
  const seen = new Set(more.rows.map((r) => r.id));
  const rows = log.data && [...log.data.filter((r) => !seen.has(r.id)), ...more.rows];
  const next = async () => {
    try {
      const got = await read("/audit", { ...asked, before: rows![rows!.length - 1]!.id });
      setOlder({ key, rows: [...rows!, ...got], end: got.length < page });
    } catch (err) {
      toast(said(err), "bad");
    }
  };
  const filtered = who || path || failed;
  const clear = () => setQuery({ who: undefined, path: undefined, failed: undefined });
  return (
    <Page title="Audit log" lead="Changes that were made or tried on this peer. Secrets are not in it.">
      <div class="bar">
        <label class="pick"><span>Who</span><input value={who} placeholder="anybody" autocapitalize="none" onInput={(e) => setQuery({ who: e.currentTarget.value })} /></label>
        <label class="pick"><span>Path</span><input class="mono" value={path} placeholder="/users" spellcheck={false} onInput={(e) => setQuery({ path: e.currentTarget.value })} /></label>
        <label class="check"><input type="checkbox" checked={failed} onChange={(e) => setQuery({ failed: e.currentTarget.checked ? "1" : undefined })} /><span>Only what was refused</span></label>
        {filtered && <button type="button" class="quiet" onClick={clear}>Clear</button>}
      </div>
      {!rows ? <Loading refused={log.refused} /> : (
        <Table
          label="records" rows={rows} columns={columns} id={(r) => String(r.id)} name={(r) => `${r.method} ${r.path}`} sort="-time" file="drawbridge-audit"
          empty={filtered
            ? <Empty icon="search" title="Nothing like that was done"><button type="button" onClick={clear}>Clear the filter</button></Empty>
            : <Empty icon="timeline" title="Nothing was changed yet">Every change that is made or tried here is written down, by whom and from where. <a href="/config">Configure the network</a></Empty>} detail={(r) => <Sides record={r} />}
        />
      )}
      {rows && log.data!.length === page && !more.end && <p class="below"><button type="button" onClick={next}>Older ones</button></p>}
    </Page>
  );
}

function Sides({ record: r }: { record: AuditRecord }) {
  if (r.before === undefined && r.after === undefined) return null;
  return (
    <div class="sides">
      <section><h3>Before</h3><Value of={r.before} label="Before" /></section>
      <section><h3>{r.status < 400 ? "After" : "Asked for"}</h3><Value of={r.after} label="After" /></section>
    </div>
  );
}

function Value({ of, label }: { of: unknown; label: string }) {
  return of === undefined || of === null ? <p class="quiet-text">nothing</p> : <pre class="value" tabIndex={0} role="group" aria-label={label}>{JSON.stringify(of, null, 2)}</pre>;
}
