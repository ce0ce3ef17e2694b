import { useState } from "preact/hooks";
import { change, read } from "../api";
import type { Session } from "../api";
import { useAnswer } from "../answer";
import { dot } from "../format";
import { setQuery } from "../route";
import { may } from "../session";
import { Confirm } from "../ui/dialog";
import { Empty, Loading, Page, State, Time } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";

/** browser is what people call it. The order matters: all of them say Safari, and most say Chrome. */
function browser(agent: string): string {
  const name = ([["Edg/", "Edge"], ["Firefox/", "Firefox"], ["Chrome/", "Chrome"], ["Safari/", "Safari"], ["curl/", "curl"]] as const).find(([mark]) => agent.includes(mark))?.[1];
  const on = (["Android", "iPhone", "Windows", "Mac OS", "Linux"] as const).find((s) => agent.includes(s));
  return name ? name + (on ? ` on ${on}` : "") : agent || "unknown";
}

const columns: Column<Session>[] = [
  { key: "user", title: "Who", value: (s) => s.user, show: (s) => (s.own ? <>{s.user}<span class="quiet-text">{dot}this one</span></> : s.user) },
  { key: "from", title: "From", value: (s) => s.from, mono: true, grow: true },
  { key: "browser", title: "Browser", value: (s) => browser(s.agent), from: "medium" },
  { key: "seen", title: "Last used", value: (s) => s.seen, order: (s) => Date.parse(s.seen), from: "medium", show: (s) => <Time at={s.seen} /> },
  { key: "began", title: "Logged in", value: (s) => s.began, order: (s) => Date.parse(s.began), from: "wide", show: (s) => <Time at={s.began} /> },
  { key: "expires", title: "Ends unused", value: (s) => s.expires, order: (s) => Date.parse(s.expires), from: "wide", show: (s) => <Time at={s.expires} /> },
  { key: "agent", title: "Calls itself", value: (s) => s.agent, from: "never" },
  { key: "id", title: "ID", value: (s) => s.id, mono: true, from: "never" },
];

export function Sessions() {
  const sessions = useAnswer(() => read("/sessions"), "sessions");
  const [end, setEnd] = useState<Session | "others">();
  const others = sessions.data?.filter((s) => !s.own && s.user === sessions.data?.find((o) => o.own)?.user).length ?? 0;
  return (
    <Page
      title="Sessions" lead={may("admin") ? "Everybody who is logged in on this peer." : "Where you are logged in on this peer."}
      tools={others > 0 && <button type="button" onClick={() => setEnd("others")}>End my other sessions…</button>}
    >
      {!sessions.data ? <Loading refused={sessions.refused} /> : (
        <Table
          label="sessions" rows={sessions.data} columns={columns} id={(s) => s.id} name={(s) => `Session of ${s.user}`} sort="-seen" file="drawbridge-sessions" empty={<Empty icon="users" title="Nobody is logged in">Who logs in on this peer with a browser appears here. <a href="/users">Who can log in</a></Empty>}
          actions={(s) => (s.own ? <State tone="self">This is the one you look with: log out instead</State> : <button type="button" class="danger" onClick={() => setEnd(s)}>End…</button>)}
        />
      )}
      {end && (
        <Confirm
          title={end === "others" ? "End your other sessions?" : `End this session of ${end.user}?`} verb="End" onClose={() => setEnd(undefined)} act={async () => {
            if (end === "others") await change("POST /sessions/end-others", undefined);
            else await change("DELETE /sessions/{id}", undefined, { id: end.id });
            setQuery({ open: undefined });
            toast(end === "others" ? "Your other sessions have ended" : `The session of ${end.user} has ended`);
            await sessions.again();
          }}
        >
          <p>{end === "others" ? "All browsers but this one have to log in again." : <>The browser at <span class="mono">{end.from}</span> has to log in again.</>}</p>
        </Confirm>
      )}
    </Page>
  );
}
