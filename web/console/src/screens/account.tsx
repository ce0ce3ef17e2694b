import { useState } from "preact/hooks";
import { change, read } from "../api";
import { useAnswer } from "../answer";
import { session } from "../session";
import { Enrol } from "../totp";
import { FormDialog, NewPassword } from "../ui/form";
import { Card, Empty, Fact, Facts, Loading, Page, State, Time } from "../ui/parts";
import { toast } from "../ui/toast";

export function Account() {
  const me = session();
  return (
    <Page title="Account" lead="Yourself: your password, and a second factor beside it.">
      {!me?.name ? <Empty icon="users" title="Nobody is asked to log in here">This peer was reached without its access control. <a href="/users">Who may log in elsewhere</a></Empty>
        : me.by !== "session" || me.name.startsWith("oidc:") ? <Empty icon="users" title={`You are ${me.name}`}>Who keeps your password is not this network: change it there.</Empty>
        : <Own />}
    </Page>
  );
}

function Own() {
  const me = useAnswer(() => read("/account"), "account");
  const [dialog, setDialog] = useState<"password" | "enrol" | "end">();
  if (!me.data) return <Loading refused={me.refused} />;
  const u = me.data;
  const close = () => {
    setDialog(undefined);
    void me.again();
  };
  return (
    <div class="grid">
      <Card title={u.name}>
        <Facts>
          <Fact name="Role">{u.role}</Fact>
          <Fact name="Since"><Time at={u.created} /></Fact>
          <Fact name="Sessions here"><a href="/sessions">{u.sessions}</a></Fact>
          <Fact name="Password set"><Time at={u.changed} /></Fact>
        </Facts>
        <div class="card-tools"><button type="button" onClick={() => setDialog("password")}>Change the password…</button></div>
      </Card>
      <Card title="Two-factor log in" aside={<State tone={u.totp ? "ok" : "warn"}>{u.totp ? "on" : "off"}</State>}>
        <p class="quiet-text">{u.totp ? `Log in takes a code of your authenticator app. ${u.recovery_left} recovery codes are left.` : "Who learns your password can log in as you. An authenticator app on your phone prevents that."}</p>
        <div class="card-tools">
          {u.totp ? <button type="button" class="danger" onClick={() => setDialog("end")}>Turn off…</button> : <button type="button" class="primary" onClick={() => setDialog("enrol")}>Turn on…</button>}
        </div>
      </Card>
      {dialog === "password" && <Password onClose={close} />}
      {dialog === "end" && <End onClose={close} />}
      {dialog === "enrol" && <Enrol name={u.name} begin={() => change("POST /account/totp", undefined)} prove={(code) => change("PUT /account/totp", { code })} onClose={close} />}
    </div>
  );
}

function Password({ onClose }: { onClose: () => void }) {
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  return (
    <FormDialog title="Change your password" verb="Change" locked={password === ""} onClose={onClose} act={async () => { await change("PUT /account/password", { current, password }); toast("Your password is changed; your other sessions have ended"); }}>
      <label class="field"><span>The password until now</span><input required type="password" autocomplete="current-password" value={current} onInput={(e) => setCurrent(e.currentTarget.value)} /></label>
      <NewPassword onPassword={setPassword} />
    </FormDialog>
  );
}

function End({ onClose }: { onClose: () => void }) {
  const [password, setPassword] = useState("");
  return (
    <FormDialog title="Turn off two-factor log in" verb="Turn off" onClose={onClose} act={async () => { await change("POST /account/totp/end", { password }); toast("The password alone lets you in now"); }}>
      <label class="field"><span>Your password</span><input required type="password" autocomplete="current-password" value={password} onInput={(e) => setPassword(e.currentTarget.value)} /></label>
    </FormDialog>
  );
}
