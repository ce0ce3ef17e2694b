// The document as text. What is typed stays while one looks at other screens; it goes with the page.
import { useEffect, useRef, useState } from "preact/hooks";
import { change, read, readText, said } from "../../api";
import type { ConfigCheck, ConfigProblem } from "../../api";
import { plural } from "../../format";
import { useFeed } from "../../live";
import { may, who, whyNot } from "../../session";
import { Icon } from "../../ui/icons";
import { Card, Empty, Loading, State } from "../../ui/parts";
import { Apply } from "./apply";
import { Difference } from "./diff";
import { Lines } from "./lines";
import { Exports } from "./versions";

interface Draft {
  base: number; // version that it began as
  was: string; // text of that
  text: string;
}

let kept: Draft | undefined;

/** The users are in the document too. Left out they stay as they are, and nobody's password is on a screen. */
export function withoutUsers(toml: string): string {
  let skip = false;
  return toml.split("\n").filter((l) => {
    const header = /^\s*\[\[?\s*([\w-]+)/.exec(l);
    if (header) skip = header[1] === "users";
    return !skip && !/^users\s*=/.test(l);
  }).join("\n");
}

async function fresh(): Promise<Draft> {
  const v = await read("/config");
  const text = withoutUsers(await readText("/config/export", { form: "toml", version: v.version }));
  return { base: v.version, was: text, text };
}

export function Editor() {
  const newest = useFeed("/config/versions", { limit: "1" }).data?.versions[0];
  const [draft, setDraft] = useState<Draft | undefined>(kept);
  const [refused, setRefused] = useState("");
  const [check, setCheck] = useState<ConfigCheck>();
  const [busy, setBusy] = useState(false);
  const [applying, setApplying] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const keep = (d: Draft) => {
    kept = d;
    setDraft(d);
  };
  const restart = async () => {
    try {
      keep(await fresh());
      setCheck(undefined);
    } catch (err) {
      setRefused(said(err));
    }
  };
  const changed = draft !== undefined && draft.text !== draft.was;
  const stale = draft !== undefined && newest !== undefined && newest.version > draft.base;
  useEffect(() => {
    if (may("admin") && (!draft || (stale && !changed))) void restart();
  }, [stale]);
  if (!may("admin")) return <Empty icon="config" title="Only admins see the document">{whyNot("admin")}. Versions and what they changed are beside this.</Empty>;
  if (!draft) return <Loading refused={refused} />;

  const look = async (): Promise<ConfigCheck | undefined> => {
    setBusy(true);
    setRefused("");
    try {
      const found = await change("POST /config/check", { text: draft.text, by: who() });
      setCheck(found);
      return found;
    } catch (err) {
      setRefused(said(err));
    } finally {
      setBusy(false);
    }
  };
  const keys = (e: KeyboardEvent) => {
    if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) {
      e.preventDefault();
      void look();
    }
  };
  const problems = check?.problems ?? [];
  return (
    <div class="stack">
      {stale && changed && (
        <p class="notice"><State tone="warn">Version {newest.version} by {newest.author} came meanwhile</State>: what you write is based on version {draft.base}.{" "}
          <a href={`/config/changes?from=${draft.base}&to=${newest.version}`}>See what it changed</a>, then begin again from it. <button type="button" onClick={restart}>Begin again</button>
        </p>
      )}
      <div class="editor-card">
        <div class="bar">
          <p class="editor-base">{draft.base > 0 ? <>Version {draft.base}</> : <>The defaults</>}{changed && <State tone="warn">changed, not applied</State>}</p>
          {draft.base > 0 && <Exports version={draft.base} />}
          <span class="bar-tools">
            {changed && <button type="button" onClick={() => { keep({ ...draft, text: draft.was }); setCheck(undefined); }}>Undo all</button>}
            <button type="button" disabled={busy} onClick={look} title="Control and Enter">{busy && <span class="spinner" aria-hidden="true" />} Check and compare</button>
            <button type="button" class="primary" disabled={busy || !changed} onClick={async () => (await look())?.ok && setApplying(true)}>Apply…</button>
          </span>
        </div>
        <Lines area={area} text={draft.text} bad={problems.flatMap((p) => (p.line ? [p.line] : []))} onText={(text) => keep({ ...draft, text })} onKey={keys} />
        <p class="fine" id="editor-help">TOML. Control and Enter checks. Users are not shown here and stay as they are.</p>
      </div>
      {refused && <p class="wrong" role="alert"><Icon name="bad" size={18} /> {refused}</p>}
      {check && <Found check={check} show={(p) => select(area.current, p)} />}
      {applying && (
        <Apply
          text={draft.text} base={draft.base} onClose={() => setApplying(false)} applied={() => {
            setApplying(false);
            void restart();
          }}
        />
      )}
    </div>
  );
}

function Found({ check: c, show }: { check: ConfigCheck; show: (p: ConfigProblem) => void }) {
  if (!c.ok) {
    return (
      <Card title={plural(c.problems.length, "problem")} aside={<State tone="bad">cannot be applied</State>}>
        <div role="alert"><ul class="found">
          {c.problems.map((p, i) => (
            <li key={i}>
              {p.line ? <button type="button" class="quiet" onClick={() => show(p)}>Line {p.line}{p.column ? `:${p.column}` : ""}</button> : <span class="none">no line</span>}
              <span>{p.setting && <code>{p.setting}</code>} {p.text}</span>
            </li>
          ))}
        </ul></div>
      </Card>
    );
  }
  return (
    <Card title={c.changes.length > 0 ? `${plural(c.changes.length, "change")} to version ${c.base}` : "No change"} aside={<State tone="ok">nothing is wrong with it</State>}>
      <Difference changes={c.changes} unified={c.unified} none={`It says the same as ${c.base > 0 ? `version ${c.base}` : "the defaults"}.`} />
    </Card>
  );
}

/** select puts the cursor on what a problem is about. */
function select(area: HTMLTextAreaElement | null, p: ConfigProblem): void {
  if (!area || !p.line) return;
  const lines = area.value.split("\n");
  const start = lines.slice(0, p.line - 1).reduce((n, l) => n + l.length + 1, 0);
  area.focus();
  area.setSelectionRange(start + Math.max(0, (p.column ?? 1) - 1), start + (lines[p.line - 1]?.length ?? 0));
  area.scrollTop = Math.max(0, (p.line - 4) * (area.scrollHeight / Math.max(1, lines.length)));
}
