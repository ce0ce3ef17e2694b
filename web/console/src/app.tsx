// The frame around every screen: which node this is, who carries what, whether it is the present, and where to go.
import { useEffect, useRef, useState } from "preact/hooks";
import { applyTheme, chosenTheme, chooseTheme, type Theme } from "./appearance";
import { clock, duration } from "./format";
import { useFeed, useLiveness, useTick } from "./live";
import { Pending } from "./pending";
import { usePlace } from "./route";
import { groups, screens } from "./screens";
import { Who } from "./session";
import { Icon } from "./ui/icons";
import { Age, Empty, Page, State, Time } from "./ui/parts";
import { Toasts } from "./ui/toast";
import { carrierTone, chain, overall, ownRole, twoOpen } from "./words";

export function App() {
  const { path } = usePlace();
  const [menu, setMenu] = useState(false);
  const screen = screens.find((s) => s.path === path || (s.path !== "/" && path.startsWith(s.path + "/")));
  const Show = screen?.show ?? Nowhere;
  const first = useRef(true);
  useEffect(() => {
    setMenu(false);
    if (!first.current) {
      document.getElementById("title")?.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    first.current = false;
  }, [path]);
  useFavicon(screen?.title ?? "Not found");
  const { state } = useLiveness();
  return (
    <>
      <a class="skip" href="#title">Skip to content</a>
      <div class="frame" data-live={state}>
        <Side open={menu} close={() => setMenu(false)} path={screen?.path ?? ""} />
        <div class="main-column">
          <Top menu={menu} toggle={() => setMenu(!menu)} />
          <Alarms />
          <Pending />
          <main id="main">
            <Show key={screen?.path} />
          </main>
        </div>
      </div>
      <Toasts />
    </>
  );
}

function Nowhere() {
  return (
    <Page title="Not found">
      <Empty icon="search" title="There is no such page"><a href="/">Go home</a></Empty>
    </Page>
  );
}

function useFavicon(title: string): void {
  const status = useFeed("/status").data;
  const segments = useFeed("/segments").data ?? [];
  const { state } = useLiveness();
  const shown = state === "live" ? overall(status, segments) : "stale";
  useEffect(() => {
    const icon = document.getElementById("icon") as HTMLLinkElement;
    icon.href = icon.dataset[shown]!;
    const words = { ok: "", warn: "! ", bad: "✕ ", stale: "… " }[shown];
    document.title = `${words}${title} · ${status?.name ?? "…"} · Drawbridge`;
  }, [shown, title, status?.name]);
}

function Side({ open, close, path }: { open: boolean; close: () => void; path: string }) {
  const status = useFeed("/status").data;
  const segments = useFeed("/segments").data ?? [];
  const role = status && ownRole(status, segments);
  useEffect(() => {
    if (!open) return;
    const leave = (e: KeyboardEvent) => e.key === "Escape" && close();
    document.addEventListener("keydown", leave);
    return () => document.removeEventListener("keydown", leave);
  }, [open]);
  return (
    <>
      {open && <div class="shade" onClick={close} />}
      <aside class={open ? "side open" : "side"} id="side" aria-label="This node and its screens">
        <a class="brand" href="/">
          <Logo /> <span>Drawbridge</span>
        </a>
        <div class="badge">
          <span class="badge-label">You are on</span>
          <strong class="badge-name">{status?.name ?? "…"}</strong>
          {status && <span class="badge-network">network {status.network.name}</span>}
          {role && <State tone={role.tone}>{role.word}</State>}
        </div>
        <nav aria-label="Screens">
          {groups.map((g) => (
            <div key={g.title} class="nav-group">
              <h2>{g.title}</h2>
              <ul>
                {g.screens.map((s) => (
                  <li key={s.path}>
                    <a href={s.path} aria-current={s.path === path ? "page" : undefined}>
                      <Icon name={s.icon} /> {s.title}
                    </a>
                  </li>
                ))}
              </ul>
            </div>
          ))}
        </nav>
        <div class="side-foot"><Who /><ThemeSwitch /></div>
      </aside>
    </>
  );
}

function Logo() {
  return (
    <svg class="logo" width="28" height="28" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path d="M5 22h22" stroke-width="3.6" />
      <path d="M8 22V10M24 22V10" stroke-width="3.2" />
      <path d="M8 11q8 11 16 0" stroke-width="2.2" />
    </svg>
  );
}

function Top({ menu, toggle }: { menu: boolean; toggle: () => void }) {
  const status = useFeed("/status").data;
  const segments = useFeed("/segments").data;
  return (
    <header class="top">
      <button type="button" class="icon-button menu-button" aria-expanded={menu} aria-controls="side" onClick={toggle}>
        <Icon name={menu ? "close" : "menu"} /><span class="hidden">Menu</span>
      </button>
      <span class="top-node">{status?.name}</span>
      <ul class="carriers" aria-label="Who carries which segment">
        {segments?.map((s) => (
          <li key={s.name}>
            <a href={`/segments?name=${encodeURIComponent(s.name)}`}>
              <State tone={carrierTone(s)}>
                {s.active ? <><b>{s.active}</b> carries {s.name}</> : <>nobody carries {s.name}</>}
              </State>
              <span class="carrier-since"> since <Time at={s.since} /></span>
            </a>
          </li>
        ))}
      </ul>
      <span class="hidden" role="status">{segments?.map((s) => (s.active ? `${s.active} carries ${s.name}.` : `Nobody carries ${s.name}.`)).join(" ")}</span>
      <Live />
    </header>
  );
}

function Live() {
  const { state, heard } = useLiveness();
  useTick();
  const age = duration(Date.now() - heard);
  return (
    <span class={`live ${state}`} title={state === "live" ? "Changes appear as they happen" : undefined}>
      <span class="live-dot" aria-hidden="true" />
      {state === "live" ? "Live" : state === "connecting" ? "Connecting…" : heard ? `Stale since ${age}` : "No answer"}
    </span>
  );
}

/** Alarms are what nobody may overlook, on every screen. */
function Alarms() {
  const { state, heard } = useLiveness();
  const status = useFeed("/status").data;
  const segments = useFeed("/segments").data ?? [];
  const two = segments.filter((s) => twoOpen(s).length > 0);
  const { path } = usePlace();
  const none = path === "/" ? [] : segments.filter((s) => !s.active); // home says so itself
  return (
    <div class="alarms">
      <div role="status">
        {state === "stale" && (
          <p class="alarm stale">
            <Icon name="warn" />
            <span><b>Not live.</b> {status?.name ?? "The node"} does not answer{heard > 0 && <>; what you see is from <time>{clock(heard, Date.now())}</time></>}. Trying again.</span>
          </p>
        )}
      </div>
      <div role="alert">
        {two.map((s) => (
          <p key={s.name} class="alarm bad">
            <Icon name="bad" />
            <span><b>Two gates are open</b> on {s.name}: {twoOpen(s).join(" and ")}. Frames may go round. <a href={`/segments?name=${encodeURIComponent(s.name)}`}>Look at it</a></span>
          </p>
        ))}
        {status?.clone && <p class="alarm bad"><Icon name="bad" /><span><b>Another host uses this peer's identity:</b> {status.clone}</span></p>}
        {none.map((s) => (
          <p key={s.name} class="alarm bad">
            <Icon name="bad" />
            <span><b>Nobody carries {s.name}</b> for <Age at={s.since} />{s.cause && <>: {chain(s.cause)}</>}. <a href={`/segments?name=${encodeURIComponent(s.name)}`}>See why</a></span>
          </p>
        ))}
      </div>
    </div>
  );
}

function ThemeSwitch() {
  const [theme, setTheme] = useState<Theme>(chosenTheme());
  const choose = (t: Theme) => {
    chooseTheme(t);
    applyTheme(t);
    setTheme(t);
  };
  const all: [Theme, string, "system" | "sun" | "moon"][] = [["system", "As the system", "system"], ["light", "Light", "sun"], ["dark", "Dark", "moon"]];
  return (
    <div class="theme" role="group" aria-label="Appearance">
      {all.map(([t, words, icon]) => (
        <button key={t} type="button" aria-pressed={theme === t} title={words} onClick={() => choose(t)}>
          <Icon name={icon} size={18} /><span class="hidden">{words}</span>
        </button>
      ))}
    </div>
  );
}

