import { useState } from "preact/hooks";
import { change, said } from "../api";
import type { NewToken, Token } from "../api";
import { duration } from "../format";
import { now, useFeed } from "../live";
import { setQuery, usePlace } from "../route";
import { may, who, whyNot } from "../session";
import { Confirm, Dialog } from "../ui/dialog";
import { Gated } from "../ui/form";
import { Icon } from "../ui/icons";
import { Command, Empty, Loading, Page, State, Time, type Tone } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";

const tones: Record<Token["state"], Tone> = { valid: "ok", expired: "idle", used: "idle", revoked: "idle" };

const columns: Column<Token>[] = [
  { key: "id", title: "Token", value: (t) => t.id, mono: true },
  { key: "state", title: "State", value: (t) => t.state, show: (t) => <State tone={tones[t.state]}>{t.state}</State> },
  { key: "roles", title: "Makes", value: (t) => t.roles.join(", ") || "peer", grow: true },
  { key: "left", title: "Left", value: (t) => t.left, number: true, from: "medium", show: (t) => `${t.left} of ${t.uses} uses` },
  { key: "expires", title: "Expires", value: (t) => t.expires, order: (t) => Date.parse(t.expires), from: "medium", show: (t) => (t.state === "valid" ? <>in {duration(Date.parse(t.expires) - now())}</> : <Time at={t.expires} />) },
  { key: "created", title: "Made", value: (t) => t.created, order: (t) => Date.parse(t.created), from: "wide", show: (t) => <Time at={t.created} /> },
  { key: "created_by", title: "Made by", value: (t) => t.created_by, from: "wide" },
];

export function Tokens() {
  return may("operator") ? <List /> : <Page title="Tokens"><Empty icon="tokens" title="Viewers do not see invitations">{whyNot("operator")}.</Empty></Page>;
}

function List() {
  const tokens = useFeed("/tokens");
  const { query } = usePlace();
  const [revoke, setRevoke] = useState<Token>();
  const invite = <Gated primary why={whyNot("admin")} onClick={() => setQuery({ new: "1" }, true)}><Icon name="plus" size={18} /> Invite a peer</Gated>;
  return (
    <Page title="Tokens" lead="Whoever has the text of a token may join the network by it. Hand it over as you would a password." tools={tokens.data && invite}>
      {!tokens.data ? <Loading refused={tokens.refused} /> : (
        <Table
          label="tokens" rows={tokens.data} columns={columns} id={(t) => t.id} name={(t) => `Token ${t.id}`} sort="-created" file="drawbridge-tokens"
          empty={<Empty icon="tokens" title="No token was made"><p>A peer joins by one, on its own host.</p>{invite}</Empty>}
          actions={(t) => t.state === "valid" && <Gated danger why={whyNot("admin")} onClick={() => setRevoke(t)}>Revoke…</Gated>}
        />
      )}
      {query.get("new") && may("admin") && <Invite onClose={() => setQuery({ new: undefined })} />}
      {revoke && (
        <Confirm
          title={`Revoke token ${revoke.id}?`} verb="Revoke" onClose={() => setRevoke(undefined)}
          act={async () => {
            await change("DELETE /tokens/{id}", undefined, { id: revoke.id });
            setQuery({ open: undefined });
            toast(`Token ${revoke.id} is useless now`);
          }}
        >
          <p>Nobody can join by it any more. Peers that already joined by it stay.</p>
        </Confirm>
      )}
    </Page>
  );
}

const lives: [number, string][] = [[600, "10 minutes"], [3600, "1 hour"], [86400, "1 day"], [7 * 86400, "7 days"]];

function Invite({ onClose }: { onClose: () => void }) {
  const [roles, setRoles] = useState<string[]>([]);
  const [ttl, setTTL] = useState(3600);
  const [uses, setUses] = useState(1);
  const [made, setMade] = useState<NewToken>();
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  if (made) return <Made token={made} onClose={onClose} />;
  const toggle = (r: string) => setRoles(roles.includes(r) ? roles.filter((x) => x !== r) : [...roles, r]);
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    setWrong("");
    try {
      setMade(await change("POST /tokens", { roles: roles.length > 0 ? roles : ["peer"], ttl_s: ttl, uses, by: who() }));
    } catch (err) {
      setWrong(said(err));
    }
    setBusy(false);
  };
  return (
    <Dialog
      title="Invite a peer" onClose={onClose}
      actions={(
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" form="invite" class="primary" disabled={busy}>{busy && <span class="spinner" aria-hidden="true" />} Make a token</button>
        </>
      )}
    >
      <form id="invite" class="form" onSubmit={submit}>
        <fieldset class="fields">
          <legend>The peer may be</legend>
          <label class="check"><input type="checkbox" checked disabled /><span>A peer<small>It takes part in the mesh and attaches guests. Always so.</small></span></label>
          <label class="check"><input type="checkbox" checked={roles.includes("gateway")} onChange={() => toggle("gateway")} /><span>A gateway<small>It may bridge a segment.</small></span></label>
          <label class="check"><input type="checkbox" checked={roles.includes("voter")} onChange={() => toggle("voter")} /><span>A voter<small>It decides with others who is active. Have three, on hosts that fail separately.</small></span></label>
        </fieldset>
        <div class="form-row">
          <label class="field"><span>Good for</span>
            <select value={ttl} onChange={(e) => setTTL(Number(e.currentTarget.value))}>{lives.map(([s, w]) => <option key={s} value={s}>{w}</option>)}</select>
          </label>
          <label class="field"><span>How many may join by it</span>
            <input type="number" min="1" max="1000" required value={uses} onInput={(e) => setUses(Number(e.currentTarget.value))} />
          </label>
        </div>
        {wrong && <p class="wrong" role="alert"><Icon name="bad" size={18} /> {wrong}</p>}
      </form>
    </Dialog>
  );
}

function Made({ token, onClose }: { token: NewToken; onClose: () => void }) {
  return (
    <Dialog title="Token made" wide onClose={onClose} actions={<button type="button" class="primary" onClick={onClose}>Done</button>}>
      <p><State tone="warn">Shown this once.</State> Whoever has it may join until <Time at={token.info.expires} />.</p>
      <h3>On the host that shall join</h3>
      <Command>{`drawbridge join ${token.token} --name NAME`}</Command>
      <h3>The token alone</h3>
      <Command>{token.token}</Command>
    </Dialog>
  );
}
