// Who can log in. Users are the same on all peers.
import { useState } from "preact/hooks";
import { change, read } from "../api";
import type { User } from "../api";
import { useAnswer } from "../answer";
import { dot } from "../format";
import { setQuery, usePlace } from "../route";
import { may, session, whyNot, type Role } from "../session";
import { Enrol } from "../totp";
import { IssuerCard } from "./issuer";
import { Confirm } from "../ui/dialog";
import { FormDialog, Gated, NewPassword } from "../ui/form";
import { Icon } from "../ui/icons";
import { Empty, Loading, Page, State, Time } from "../ui/parts";
import { Table, type Column } from "../ui/table";
import { toast } from "../ui/toast";

const columns: Column<User>[] = [
  { key: "name", title: "Name", value: (u) => u.name, grow: true, show: (u) => <>{u.name}{u.name === session()?.name && <span class="quiet-text">{dot}you</span>}</> },
  { key: "role", title: "Role", value: (u) => u.role },
  { key: "disabled", title: "Log in", value: (u) => (u.disabled ? "disabled" : "allowed"), show: (u) => <State tone={u.disabled ? "idle" : "ok"}>{u.disabled ? "disabled" : "allowed"}</State> },
  { key: "totp", title: "Two-factor", value: (u) => (u.totp ? "on" : "off"), from: "medium", show: (u) => <State tone={u.totp ? "ok" : "idle"}>{u.totp ? `on, ${u.recovery_left} recovery codes left` : "off"}</State> },
  { key: "sessions", title: "Sessions here", value: (u) => u.sessions, number: true, from: "wide" },
  { key: "changed", title: "Password set", value: (u) => u.changed, order: (u) => Date.parse(u.changed), from: "wide", show: (u) => <Time at={u.changed} /> },
  { key: "created", title: "Made", value: (u) => u.created, order: (u) => Date.parse(u.created), from: "never", show: (u) => <Time at={u.created} /> },
];

export const roleWords: Record<Role, string> = { viewer: "Viewer: sees", operator: "Operator: moves segments, captures", admin: "Admin: everything" };

export function RolePick({ role, choose, label = "Role", most = "admin" }: { role: Role; choose: (r: Role) => void; label?: string; most?: Role }) {
  const all: Role[] = ["viewer", "operator", "admin"];
  return (
    <label class="field"><span>{label}</span>
      <select value={role} onChange={(e) => choose(e.currentTarget.value as Role)}>{all.slice(0, all.indexOf(most) + 1).map((r) => <option key={r} value={r}>{roleWords[r]}</option>)}</select>
    </label>
  );
}

type Deed = { what: "role" | "password" | "disable" | "enable" | "totp" | "reset" | "remove"; user: User };

export function Users() {
  return may("admin") ? <List /> : <Page title="Users"><Empty icon="users" title="Only admins see the users">{whyNot("admin")}. Your own is under <a href="/account">Account</a>.</Empty></Page>;
}

function List() {
  const users = useAnswer(() => read("/users"), "users");
  const { query } = usePlace();
  const [deed, setDeed] = useState<Deed>();
  const add = <button type="button" class="primary" onClick={() => setQuery({ new: "1" }, true)}><Icon name="plus" size={18} /> Add a user</button>;
  const done = async (news: string) => {
    toast(news);
    await users.again();
  };
  const admins = users.data?.filter((u) => u.role === "admin" && !u.disabled).length ?? 0;
  const lastAdmin = (u: User) => (u.role === "admin" && !u.disabled && admins < 2 ? "The last admin that can log in stays one: make another user an admin first" : undefined);
  const ask = (what: Deed["what"], user: User) => () => setDeed({ what, user });
  return (
    <Page title="Users" lead="Who can log in, on any peer. What each role may do is in the reference of roles." tools={users.data && add}>
      {!users.data ? <Loading refused={users.refused} /> : (
        <Table
          label="users" rows={users.data} columns={columns} id={(u) => u.name} name={(u) => `User ${u.name}`} sort="name" file="drawbridge-users" empty={<Empty icon="users" title="There are no users"><p>Until there is one, nobody can log in but by the one-time code of the node.</p>{add}</Empty>}
          detail={(u) => lastAdmin(u) && <p class="quiet-text">{lastAdmin(u)}.</p>}
          actions={(u) => (
            <>
              <Gated onClick={ask("role", u)} why={lastAdmin(u)}>Role…</Gated>
              <Gated onClick={ask("password", u)}>Password…</Gated>
              {u.totp ? <Gated onClick={ask("reset", u)}>End two-factor…</Gated> : <Gated onClick={ask("totp", u)}>Two-factor…</Gated>}
              {u.disabled ? <Gated onClick={ask("enable", u)}>Enable…</Gated> : <Gated onClick={ask("disable", u)} why={lastAdmin(u)}>Disable…</Gated>}
              <Gated danger onClick={ask("remove", u)} why={lastAdmin(u)}>Remove…</Gated>
            </>
          )}
        />
      )}
      <IssuerCard />
      {query.get("new") && <Add onClose={() => setQuery({ new: undefined })} done={done} />}
      {deed && <Do key={deed.what + deed.user.name} deed={deed} done={done} onClose={() => setDeed((now) => (now === deed ? undefined : now))} />}
    </Page>
  );
}

interface After {
  onClose: () => void;
  done: (news: string) => Promise<void>;
}

function Add({ onClose, done }: After) {
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [password, setPassword] = useState("");
  return (
    <FormDialog
      title="Add a user" verb="Add" onClose={onClose} locked={password === ""} act={async () => {
        await change("POST /users", { name, role, password });
        await done(`${name} can log in`);
      }}
    >
      <label class="field"><span>Name, of a-z, 0-9, dot, underscore and hyphen</span><input required maxLength={32} autocomplete="off" autocapitalize="none" spellcheck={false} value={name} onInput={(e) => setName(e.currentTarget.value)} /></label>
      <RolePick role={role} choose={setRole} />
      <NewPassword label="Password" onPassword={setPassword} />
    </FormDialog>
  );
}

function Do({ deed: { what, user: u }, onClose, done }: After & { deed: Deed }) {
  const [role, setRole] = useState<Role>(u.role);
  const [password, setPassword] = useState("");
  const names = { name: u.name };
  switch (what) {
    case "role":
      return (
        <FormDialog title={`Role of ${u.name}`} verb="Change" onClose={onClose} act={async () => { await change("PATCH /users/{name}", { role }, names); await done(`${u.name} is ${role} from the next request on`); }}>
          <RolePick role={role} choose={setRole} />
        </FormDialog>
      );
    case "password":
      return (
        <FormDialog title={`Password of ${u.name}`} verb="Set" locked={password === ""} onClose={onClose} act={async () => { await change("PUT /users/{name}/password", { password }, names); await done(`${u.name} has a new password`); }}>
          <p class="quiet-text">Sessions of {u.name} end.</p>
          <NewPassword onPassword={setPassword} />
        </FormDialog>
      );
    case "totp":
      return (
        <Enrol
          name={u.name} begin={() => change("POST /users/{name}/totp", undefined, names)} prove={async (code) => {
            const codes = await change("PUT /users/{name}/totp", { code }, names);
            await done(`${u.name} logs in with two factors`);
            return codes;
          }}
          onClose={onClose}
        />
      );
    case "enable":
    case "disable":
      return (
        <Confirm title={`${what === "enable" ? "Enable" : "Disable"} ${u.name}?`} verb={what === "enable" ? "Enable" : "Disable"} onClose={onClose} act={async () => { await change("PATCH /users/{name}", { disabled: what === "disable" }, names); await done(`${u.name} is ${what}d`); }}>
          <p>{what === "enable" ? `${u.name} can log in again.` : `${u.name} cannot log in, and their sessions and tokens end at once.`}</p>
        </Confirm>
      );
    case "reset":
      return (
        <Confirm title={`End two-factor log in of ${u.name}?`} verb="End it" onClose={onClose} act={async () => { await change("DELETE /users/{name}/totp", undefined, names); await done(`${u.name} logs in with the password alone`); }}>
          <p>For who lost the phone: the password alone lets {u.name} in, until they turn it on again.</p>
        </Confirm>
      );
    case "remove":
      return (
        <Confirm title={`Remove ${u.name}?`} verb="Remove" type={u.name} onClose={onClose} act={async () => { await change("DELETE /users/{name}", undefined, names); setQuery({ open: undefined }); await done(`${u.name} is gone`); }}>
          <p>Their sessions and API tokens end at once. What they did stays in the audit log.</p>
        </Confirm>
      );
  }
}
