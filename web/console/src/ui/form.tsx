import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Dialog, useDeed, Wrong } from "./dialog";
import { Icon } from "./icons";

let forms = 0;

/** FormDialog asks for something, does it, and says what was wrong with it. It closes when it is done. */
export function FormDialog({ title, verb, children, act, onClose, locked }: {
  title: string; verb: string; children: ComponentChildren; act: () => Promise<void>; onClose: () => void; locked?: boolean;
}) {
  const [id] = useState(() => `form${++forms}`);
  const { busy, wrong, run } = useDeed(act, onClose);
  const submit = (e: SubmitEvent) => {
    e.preventDefault();
    void run();
  };
  return (
    <Dialog
      title={title} onClose={onClose}
      actions={(
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" form={id} class="primary" disabled={busy || locked}>{busy && <span class="spinner" aria-hidden="true" />} {verb}</button>
        </>
      )}
    >
      <form id={id} class="form" onSubmit={submit}>
        {children}
        <Wrong>{wrong}</Wrong>
      </form>
    </Dialog>
  );
}

export const shortestPassword = 12; // characters, as the API wants it

/** NewPassword asks for one twice; it is "" until both are the same. */
export function NewPassword({ onPassword, label = "New password" }: { onPassword: (p: string) => void; label?: string }) {
  const [one, setOne] = useState("");
  const [two, setTwo] = useState("");
  const tell = (a: string, b: string) => {
    setOne(a);
    setTwo(b);
    onPassword(a === b ? a : "");
  };
  const differs = two !== "" && one !== two;
  return (
    <>
      <label class="field"><span>{label}, at least {shortestPassword} characters</span><input required type="password" minLength={shortestPassword} autocomplete="new-password" value={one} onInput={(e) => tell(e.currentTarget.value, two)} /></label>
      <label class="field"><span>The same again</span><input required type="password" autocomplete="new-password" aria-invalid={differs} value={two} onInput={(e) => tell(one, e.currentTarget.value)} /></label>
      {differs && <p class="wrong"><Icon name="bad" size={18} /> The two differ</p>}
    </>
  );
}

/** Gated is a button that says why it does nothing. */
export function Gated({ why, children, danger, primary, onClick }: { why?: string; children: ComponentChildren; danger?: boolean; primary?: boolean; onClick: () => void }) {
  return <button type="button" class={danger ? "danger" : primary ? "primary" : ""} disabled={why !== undefined} title={why} onClick={onClick}>{children}</button>;
}
