// Who is at the browser. Where the API asks for a log in, nothing else is shown before.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { address, change, onUnauthorised, read, Refusal, said } from "./api";
import type { SessionInfo } from "./api";
import { dot } from "./format";
import { Icon } from "./ui/icons";
import { Copy } from "./ui/parts";

let known: SessionInfo | undefined;

/** who is how changes are signed: the user, or the console where there are none. */
export const who = (): string => known?.name ?? "console";

export type Role = NonNullable<SessionInfo["role"]>;

const ranks: Role[] = ["viewer", "operator", "admin"];

/** may says whether who is at the browser has at least a role. Where nobody is asked for, everybody may everything. */
export const may = (role: Role): boolean => !known?.role || ranks.indexOf(known.role) >= ranks.indexOf(role);

/** whyNot is what a button says that is locked for want of a role. */
export const whyNot = (role: Role): string | undefined => (may(role) ? undefined : `This takes the role ${role}; you are ${known?.role}`);

/** session is what the node said about who is at the browser. */
export const session = (): SessionInfo | undefined => known;

/** Entrance shows children to those who are logged in, and to everybody where the API asks nobody. */
export function Entrance({ children }: { children: ComponentChildren }) {
  const [session, setSession] = useState<SessionInfo | "open">();
  const ask = async () => {
    try {
      known = await read("/session");
      setSession(known);
    } catch {
      setSession((was) => was ?? "open"); // no access control here, or no answer: the page says so itself
    }
  };
  useEffect(() => {
    onUnauthorised(() => void ask());
    void ask();
  }, []);
  if (session === undefined) return null;
  if (session === "open" || session.logged_in) return <>{children}</>;
  return session.first_run ? <FirstRun session={session} entered={ask} /> : <Login session={session} entered={ask} />;
}

function Door({ session, title, children }: { session: SessionInfo; title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · ${session.peer} · Drawbridge`;
  }, []);
  return (
    <main class="door">
      <div class="card door-card">
        <p class="door-peer">Drawbridge{dot}{session.peer}</p>
        <h1 id="title">{title}</h1>
        {children}
        {session.fingerprint && (
          <details class="fingerprint">
            <summary>Certificate of this node</summary>
            <p class="quiet-text">Its SHA-256, to compare with what the browser shows:</p>
            <p class="mono">{session.fingerprint}</p>
            <Copy text={session.fingerprint} />
          </details>
        )}
      </div>
    </main>
  );
}

interface Inside {
  session: SessionInfo;
  entered: () => Promise<void>;
}

/** useSend sends a form and says what was wrong with it. */
function useSend(send: () => Promise<unknown>, entered: () => Promise<void>, wrongType?: (r: Refusal) => boolean) {
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    setWrong("");
    try {
      await send();
      await entered();
    } catch (err) {
      if (!(err instanceof Refusal && wrongType?.(err))) setWrong(said(err));
      setBusy(false);
    }
  };
  return { submit, busy, wrong: wrong && <p class="wrong" role="alert"><Icon name="bad" size={18} /> {wrong}</p> };
}

function Login({ session, entered }: Inside) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [asked, setAsked] = useState(false);
  const { submit, busy, wrong } = useSend(() => change("POST /login", { name, password, ...(code && { code }) }), entered, (r) => {
    if (!r.type.endsWith(":totp-needed")) return false;
    setAsked(true);
    return true;
  });
  return (
    <Door session={session} title="Log in">
      <form class="form" onSubmit={submit}>
        <label class="field"><span>Name</span><input required autocomplete="username" value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>
        <label class="field"><span>Password</span><input required type="password" autocomplete="current-password" value={password} onInput={(e) => setPassword(e.currentTarget.value)} /></label>
        {asked && (
          <label class="field"><span>Code of your authenticator app, or a recovery code</span>
            <input required autocomplete="one-time-code" ref={(e) => e?.focus()} value={code} onInput={(e) => setCode(e.currentTarget.value)} />
          </label>
        )}
        {wrong}
        <button type="submit" class="primary" disabled={busy}>{busy && <span class="spinner" aria-hidden="true" />} Log in</button>
        {session.issuer && <a class="button" href={address("/oidc/start")}>Log in by {session.issuer}</a>}
      </form>
    </Door>
  );
}

const shortest = 12; // characters of a password, as the API wants it

function FirstRun({ session, entered }: Inside) {
  const [code, setCode] = useState("");
  const [name, setName] = useState("admin");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const { submit, busy, wrong } = useSend(() => change("POST /first-run", { code: code.trim().toLowerCase().replace(/\s+/g, " "), name, password }), entered);
  const differs = again !== "" && again !== password;
  return (
    <Door session={session} title="Welcome">
      <p class="quiet-text">Nobody can log in yet. Make the first user, an admin. The one-time code of eight words is on the screen of {session.peer} and in its log.</p>
      <form class="form" onSubmit={submit}>
        <label class="field"><span>One-time code</span><input required autocomplete="off" autocapitalize="none" spellcheck={false} class="mono" value={code} onInput={(e) => setCode(e.currentTarget.value)} /></label>
        <label class="field"><span>Your name</span><input required autocomplete="username" value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>
        <label class="field"><span>Password, at least {shortest} characters</span><input required type="password" minLength={shortest} autocomplete="new-password" value={password} onInput={(e) => setPassword(e.currentTarget.value)} /></label>
        <label class="field"><span>The password again</span><input required type="password" autocomplete="new-password" aria-invalid={differs} value={again} onInput={(e) => setAgain(e.currentTarget.value)} /></label>
        {differs && <p class="wrong"><Icon name="bad" size={18} /> The two differ</p>}
        {wrong}
        <button type="submit" class="primary" disabled={busy || differs}>{busy && <span class="spinner" aria-hidden="true" />} Make the admin</button>
      </form>
    </Door>
  );
}

/** Who shows who is logged in, and the way out. */
export function Who() {
  const [busy, setBusy] = useState(false);
  if (!known?.name || known.by !== "session") return null;
  return (
    <div class="who">
      <span><span class="badge-label">Logged in as</span><br /><b>{known.name}</b> <span class="badge-label">{known.role}</span></span>
      <button
        type="button" disabled={busy} onClick={async () => {
          setBusy(true);
          try {
            await change("POST /logout", undefined);
          } finally {
            location.reload();
          }
        }}
      >
        Log out
      </button>
    </div>
  );
}
