// Small parts that every screen uses.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Problem } from "../api";
import { clock, duration } from "../format";
import { now, useTick } from "../live";
import { Icon, type IconName } from "./icons";
import { toast } from "./toast";

/** How something is: never told by colour alone, but by a shape and a word too. */
export type Tone = "ok" | "warn" | "bad" | "idle" | "self";

export function State({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`state ${tone}`}>
      <Icon name={tone} size={16} />
      <span>{children}</span>
    </span>
  );
}

/** Time shows when, in the zone of the browser; the pointer shows it in UTC. */
export function Time({ at, millis }: { at: string; millis?: boolean }) {
  return (
    <time dateTime={at} title={new Date(at).toISOString().replace("T", " ").replace("Z", " UTC")}>
      {clock(Date.parse(at), now(), millis)}
    </time>
  );
}

/** Age shows how long ago, and goes on by itself. */
export function Age({ at }: { at: string }) {
  useTick();
  return (
    <time dateTime={at} title={new Date(at).toISOString().replace("T", " ").replace("Z", " UTC")}>
      {duration(now() - Date.parse(at))}
    </time>
  );
}

export function Page({ title, lead, tools, children }: { title: string; lead?: ComponentChildren; tools?: ComponentChildren; children: ComponentChildren }) {
  return (
    <>
      <header class="page-head">
        <div>
          <h1 id="title" tabIndex={-1}>{title}</h1>
          {lead && <p class="lead">{lead}</p>}
        </div>
        {tools && <div class="tools">{tools}</div>}
      </header>
      {children}
    </>
  );
}

let cards = 0;

export function Card({ title, aside, children, wide }: { title: string; aside?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  const [id] = useState(() => `card${++cards}`);
  return (
    <section class={wide ? "card wide" : "card"} aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** Empty says what to do next where there is nothing to show: that is what its children are for. */
export function Empty({ icon = "about", title, children }: { icon?: IconName; title: string; children: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} size={28} />
      <p class="empty-title">{title}</p>
      <div class="empty-next">{children}</div>
    </div>
  );
}

/** Snippet is some lines of a file, as they stand there. */
export function Snippet({ children }: { children: string }) {
  return (
    <div class="snippet">
      <pre tabIndex={0} role="group" aria-label="Lines of a file">{children}</pre>
      <Copy text={children + "\n"} />
    </div>
  );
}

export function Loading({ refused }: { refused?: string }) {
  if (refused) return <Empty icon="warn" title="The node does not tell this">{refused}</Empty>;
  return (
    <div class="loading" role="status">
      <span class="spinner" aria-hidden="true" /> Waiting for the node…
    </div>
  );
}

export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="facts">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

export function Problems({ problems, tone = "warn" }: { problems: Problem[]; tone?: Tone }) {
  return (
    <ul class="problems">
      {problems.map((p) => (
        <li key={p.summary}>
          <span class={`mark ${tone}`}><Icon name={tone} size={18} /></span>
          <div>
            <strong>{p.summary}</strong>
            {p.remedy && <p>{p.remedy}</p>}
          </div>
        </li>
      ))}
    </ul>
  );
}

/** copied puts text on the clipboard, by the old way where the page is not from a secure origin. */
export async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  return (
    <button
      type="button" class="quiet" onClick={async () => {
        if (await copied(text)) toast("Copied");
        else toast("The browser did not let this page copy; select the text instead", "warn");
      }}
    >
      <Icon name="copy" size={16} /> {label}
    </button>
  );
}

/** Command is a line for a terminal. */
export function Command({ children }: { children: string }) {
  return (
    <div class="command">
      <code tabIndex={0} role="group" aria-label={`Command: ${children}`}>{children}</code>
      <Copy text={children} />
    </div>
  );
}

/** save hands a file to the browser. */
export function save(name: string, kind: string, parts: BlobPart[]): void {
  const url = URL.createObjectURL(new Blob(parts, { type: kind }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
