import { useState } from "preact/hooks";
import { change, read, said } from "../api";
import type { AccessToken, NewAccessToken } from "../api";
import { useAnswer } from "../answer";
import { setQuery, usePlace } from "../route";
import { session, type Role } from "../session";
import { Wrong } from "../totp";
import { Confirm, Dialog } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { Command, Empty, Loading, Page, State, Time } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";
import { RolePick } from "./users";

const columns: Column<AccessToken>[] = [
  { key: "id", title: "Token", value: (t) => t.id, mono: true },
  { key: "comment", title: "For", value: (t) => t.comment, grow: true },
  { key: "role", title: "Role", value: (t) => t.role },
  { key: "prefix", title: "Only below", value: (t) => t.prefix, from: "wide", mono: true, show: (t) => t.prefix || "everything" },
  { key: "owner", title: "Of", value: (t) => t.owner, from: "medium", show: (t) => t.owner || "the host" },
  { key: "last_used", title: "Last used", value: (t) => t.last_used, order: (t) => Date.parse(t.last_used ?? "0"), from: "medium", show: (t) => (t.last_used ? <Time at={t.last_used} /> : <span class="none">never</span>) },
  { key: "expires", title: "Ends", value: (t) => t.expires, order: (t) => Date.parse(t.expires), from: "wide", show: (t) => <Time at={t.expires} /> },
  { key: "created", title: "Made", value: (t) => t.created, order: (t) => Date.parse(t.created), from: "never", show: (t) => <Time at={t.created} /> },
];

export function APITokens() {
  const tokens = useAnswer(() => read("/access-tokens"), "access-tokens");
  const { query } = usePlace();
  const [end, setEnd] = useState<AccessToken>();
  const make = <button type="button" class="primary" onClick={() => setQuery({ new: "1" }, true)}><Icon name="plus" size={18} /> Make an API token</button>;
  return (
    <Page title="API tokens" lead="For programs: each may at most what its owner may, and ends by itself." tools={tokens.data && make}>
      {!tokens.data ? <Loading refused={tokens.refused} /> : (
        <Table
          label="tokens" rows={tokens.data} columns={columns} id={(t) => t.id} name={(t) => `API token ${t.id}`} sort="-created" file="drawbridge-api-tokens" empty={<Empty icon="tokens" title="There are no API tokens"><p>Scripts and monitoring ask the API by one.</p>{make}</Empty>}
          actions={(t) => <button type="button" class="danger" onClick={() => setEnd(t)}>End…</button>}
        />
      )}
      {query.get("new") && <Make made={() => void tokens.again()} onClose={() => setQuery({ new: undefined })} />}
      {end && (
        <Confirm
          title={`End API token ${end.id}?`} verb="End" onClose={() => setEnd(undefined)} act={async () => {
            await change("DELETE /access-tokens/{id}", undefined, { id: end.id });
            setQuery({ open: undefined });
            toast(`API token ${end.id} has ended`);
            await tokens.again();
          }}
        >
          <p>Programs that use it are refused from the next request on.</p>
        </Confirm>
      )}
    </Page>
  );
}

const day = 86400;
const lives: [number, string][] = [[day, "1 day"], [30 * day, "30 days"], [90 * day, "90 days"], [365 * day, "1 year"]];

function Make({ made, onClose }: { made: () => void; onClose: () => void }) {
  const [comment, setComment] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [prefix, setPrefix] = useState("");
  const [ttl, setTTL] = useState(90 * day);
  const [token, setToken] = useState<NewAccessToken>();
  const [wrong, setWrong] = useState("");
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setWrong("");
    try {
      setToken(await change("POST /access-tokens", { comment, role, ttl_s: ttl, ...(prefix && { prefix }) }));
      made();
    } catch (err) {
      setWrong(said(err));
    }
  };
  if (token) {
    return (
      <Dialog title="API token made" wide onClose={onClose} actions={<button type="button" class="primary" onClick={onClose}>Done</button>}>
        <p><State tone="warn">Shown this once.</State> Programs send it with every request:</p>
        <Command>{`Authorization: Bearer ${token.token}`}</Command>
      </Dialog>
    );
  }
  return (
    <Dialog
      title="Make an API token" onClose={onClose}
      actions={<><button type="button" onClick={onClose}>Cancel</button><button type="submit" form="api-token" class="primary">Make it</button></>}
    >
      <form id="api-token" class="form" onSubmit={submit}>
        <label class="field"><span>What it is for</span><input required maxLength={128} autocomplete="off" value={comment} onInput={(e) => setComment(e.currentTarget.value)} /></label>
        <div class="form-row">
          <RolePick role={role} choose={setRole} most={session()?.role} />
          <label class="field"><span>Good for</span><select value={ttl} onChange={(e) => setTTL(Number(e.currentTarget.value))}>{lives.map(([s, w]) => <option key={s} value={s}>{w}</option>)}</select></label>
        </div>
        <label class="field"><span>Only this path and those below; empty: all</span><input class="mono" autocomplete="off" spellcheck={false} pattern="/.*" title="A path that begins with /" value={prefix} onInput={(e) => setPrefix(e.currentTarget.value)} /></label>
        <Wrong>{wrong}</Wrong>
      </form>
    </Dialog>
  );
}
