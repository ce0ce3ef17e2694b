// The issuer by which people can log in, too (OpenID Connect). It is the same on all peers.
import { useState } from "preact/hooks";
import { change, inLog, read } from "../api";
import type { Issuer } from "../api";
import { useAnswer } from "../answer";
import { Confirm } from "../ui/dialog";
import { FormDialog, Gated } from "../ui/form";
import { Card, Fact, Facts, Loading, State } from "../ui/parts";
import { toast } from "../ui/toast";

/** settings asks for them only where there are some. */
const settings = async (): Promise<Issuer | null> => ((await read("/session")).issuer === undefined ? null : read("/oidc"));

export function IssuerCard() {
  const issuer = useAnswer(settings, "issuer");
  const [dialog, setDialog] = useState<"edit" | "remove">();
  if (issuer.data === undefined) return issuer.refused ? <Loading refused={issuer.refused} /> : null;
  const i = issuer.data;
  const done = async (news: string) => {
    toast(news);
    await issuer.again();
  };
  return (
    <div class="below">
      <Card title="Log in by an issuer" aside={<State tone={i ? "ok" : "idle"}>{i ? `people can log in by ${i.name || i.issuer}` : "off"}</State>}>
        {i ? (
          <Facts>
            <Fact name="Issuer">{i.issuer}</Fact>
            <Fact name="This network is called there">{i.client_id}</Fact>
            <Fact name="It sends people back to"><code>{i.redirect_url}</code></Fact>
            <Fact name="Role by the claim">{i.role_claim}</Fact>
            {Object.entries(i.roles).sort().map(([value, role]) => <Fact key={value} name={value}>{role}</Fact>)}
          </Facts>
        ) : <p class="quiet-text">With an OpenID Connect issuer, such as the company's directory, people log in by the account that they have, and need no password here.</p>}
        <div class="card-tools">
          <Gated primary={!i} onClick={() => setDialog("edit")}>{i ? "Change…" : "Set up an issuer…"}</Gated>
          {i && <Gated danger onClick={() => setDialog("remove")}>Remove…</Gated>}
        </div>
      </Card>
      {dialog === "edit" && <Edit was={i} done={done} onClose={() => setDialog(undefined)} />}
      {dialog === "remove" && (
        <Confirm title="Remove the issuer?" verb="Remove" onClose={() => setDialog(undefined)} act={async () => { await change("DELETE /oidc", undefined); await done("People log in as users of this network only"); }}>
          <p>Who logged in by it is logged out at once, on all peers. Users of this network stay.</p>
        </Confirm>
      )}
    </div>
  );
}

const lines = (roles: Record<string, string>): string => Object.entries(roles).sort().map(([value, role]) => `${value} = ${role}`).join("\n");

/** rolesOf reads a line for each value. The API says which role it does not know. */
function rolesOf(text: string): Record<string, string> {
  const roles: Record<string, string> = {};
  for (const line of text.split("\n").filter((l) => l.trim())) {
    const cut = line.lastIndexOf("=");
    if (cut < 1) throw new Error(`"${line.trim()}" wants the form VALUE = ROLE`);
    roles[line.slice(0, cut).trim()] = line.slice(cut + 1).trim();
  }
  return roles;
}

function Edit({ was, done, onClose }: { was: Issuer | null; done: (news: string) => Promise<void>; onClose: () => void }) {
  const [i, setI] = useState<Issuer>(was ?? { name: "", issuer: "", client_id: "", redirect_url: `https://{host}${inLog("/oidc/callback")}`, role_claim: "groups", roles: {}, scopes: [] });
  const [roles, setRoles] = useState(lines(i.roles));
  const set = (part: Partial<Issuer>) => setI((now) => ({ ...now, ...part }));
  const text = (key: "name" | "issuer" | "client_id" | "redirect_url" | "role_claim" | "name_claim", label: string, hint?: string, needed = true) => (
    <label class="field"><span>{label}</span><input required={needed} autocomplete="off" spellcheck={false} value={i[key] ?? ""} onInput={(e) => set({ [key]: e.currentTarget.value.trim() })} />{hint && <span class="hint">{hint}</span>}</label>
  );
  return (
    <FormDialog
      title={was ? "Change the issuer" : "Set up an issuer"} verb="Set" onClose={onClose} act={async () => {
        await change("PUT /oidc", { ...i, roles: rolesOf(roles) });
        await done("The issuer is set, on all peers");
      }}
    >
      <label class="field"><span>Name, for the button</span><input required maxLength={100} autocomplete="off" value={i.name} onInput={(e) => set({ name: e.currentTarget.value })} /></label>
      {text("issuer", "Issuer", "An https address; it describes itself at /.well-known/openid-configuration.")}
      {text("client_id", "Client ID", "What the issuer calls this network.")}
      <label class="field"><span>Client secret</span><input type="password" autocomplete="off" value={i.client_secret ?? ""} onInput={(e) => set({ client_secret: e.currentTarget.value || undefined })} />{was && <span class="hint">Empty: as before. It is never shown.</span>}</label>
      {text("redirect_url", "Way back", "{host} stands for the console that somebody logs in at: tell the issuer the address of each.")}
      {text("role_claim", "Claim that decides on the role", "A text or a list of texts, such as groups.")}
      {text("name_claim", "Claim that has the name", "Empty: preferred_username.", false)}
      <label class="field"><span>Roles, one a line: VALUE = viewer, operator or admin</span><textarea required rows={3} spellcheck={false} placeholder="network-team = operator" value={roles} onInput={(e) => setRoles(e.currentTarget.value)} /><span class="hint">The strongest counts; who has none of the values stays out.</span></label>
      <p class="quiet-text">Who logged in by the issuer of before is logged out.</p>
    </FormDialog>
  );
}
