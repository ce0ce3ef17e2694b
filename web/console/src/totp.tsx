// Two-factor log in: a secret for an authenticator app, the code that shows that the app has it, and codes for the day on
// which the phone is lost.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { said } from "./api";
import type { RecoveryCodes, TOTPSecret } from "./api";
import { Dialog } from "./ui/dialog";
import { Icon } from "./ui/icons";
import { Copy, Loading, save, State } from "./ui/parts";
import { Qr } from "./ui/qr";

export function Wrong({ children }: { children: ComponentChildren }) {
  return children ? <p class="wrong" role="alert"><Icon name="bad" size={18} /> {children}</p> : null;
}

export function Enrol({ name, begin, prove, onClose }: { name: string; begin: () => Promise<TOTPSecret>; prove: (code: string) => Promise<RecoveryCodes>; onClose: () => void }) {
  const [secret, setSecret] = useState<TOTPSecret>();
  const [codes, setCodes] = useState<string[]>();
  const [code, setCode] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    begin().then(setSecret, (err) => setWrong(said(err)));
  }, []);
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    setWrong("");
    try {
      setCodes((await prove(code.replace(/\s/g, ""))).codes);
    } catch (err) {
      setWrong(said(err));
    }
    setBusy(false);
  };
  if (codes) return <Recovery codes={codes} name={name} onClose={onClose} />;
  return (
    <Dialog
      title={`Two-factor log in of ${name}`} onClose={onClose}
      actions={(
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" form="totp" class="primary" disabled={busy || !secret}>{busy && <span class="spinner" aria-hidden="true" />} Turn on</button>
        </>
      )}
    >
      {secret ? (
        <form id="totp" class="form" onSubmit={submit}>
          <p>Read this with an authenticator app, or type the key into it. It was drawn in this browser; nobody else saw it.</p>
          <Qr text={secret.uri} label="QR code of the key" />
          <p class="secret"><span class="mono">{secret.secret.replace(/(.{4})/g, "$1 ").trim()}</span> <Copy text={secret.secret} label="Copy the key" /></p>
          <label class="field"><span>The six digits that the app shows now</span>
            <input required inputMode="numeric" autocomplete="one-time-code" pattern="[0-9 ]{6,7}" value={code} onInput={(e) => setCode(e.currentTarget.value)} />
          </label>
          <Wrong>{wrong}</Wrong>
        </form>
      ) : wrong ? <Wrong>{wrong}</Wrong> : <Loading />}
    </Dialog>
  );
}

function Recovery({ codes, name, onClose }: { codes: string[]; name: string; onClose: () => void }) {
  const text = codes.join("\n") + "\n";
  return (
    <Dialog title="Recovery codes" onClose={onClose} actions={<button type="button" class="primary" onClick={onClose}>I have kept them</button>}>
      <p><State tone="warn">Shown this once.</State> Each logs {name} in once without the phone. Keep them where the phone is not.</p>
      <ul class="codes mono">{codes.map((c) => <li key={c}>{c}</li>)}</ul>
      <div class="card-tools"><Copy text={text} /><button type="button" class="quiet" onClick={() => save(`drawbridge-recovery-${name}.txt`, "text/plain", [text])}><Icon name="download" size={16} /> Download</button></div>
    </Dialog>
  );
}
