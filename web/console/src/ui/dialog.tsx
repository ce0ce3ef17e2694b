// Dialogs are the browser's own: it keeps the focus inside and gives it back.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { said } from "../api";
import { Icon } from "./icons";

let dialogs = 0;

export function Dialog({ title, onClose, children, actions, wide }: {
  title: string; onClose: () => void; children: ComponentChildren; actions?: ComponentChildren; wide?: boolean;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  const [id] = useState(() => `dialog${++dialogs}`);
  useEffect(() => {
    if (!ref.current?.open) ref.current?.showModal();
  }, []);
  return (
    <dialog
      ref={ref} aria-labelledby={id} class={wide ? "wide" : ""} onClose={onClose}
      onClick={(e) => e.target === ref.current && ref.current?.close()}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick={() => ref.current?.close()}><Icon name="close" /></button>
        </header>
        <div class="dialog-content">{children}</div>
        {actions && <footer>{actions}</footer>}
      </div>
    </dialog>
  );
}

/** useDeed does what a dialog is for, once at a time; it closes when that is done, or else says what was wrong. */
export function useDeed(act: () => Promise<void>, onClose: () => void) {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const run = async () => {
    setBusy(true);
    setWrong("");
    try {
      await act();
      onClose();
    } catch (err) {
      setWrong(said(err));
      setBusy(false);
    }
  };
  return { busy, wrong, run };
}

/** Wrong is what was wrong with what somebody asked for. */
export const Wrong = ({ children }: { children: string }) => (children ? <p class="wrong" role="alert"><Icon name="bad" size={18} /> {children}</p> : null);

/** Confirm asks before something that hurts. What cannot be undone wants a word typed. */
export function Confirm({ title, children, verb, type, act, onClose }: {
  title: string; children: ComponentChildren; verb: string; type?: string; act: () => Promise<void>; onClose: () => void;
}) {
  const [typed, setTyped] = useState("");
  const { busy, wrong, run } = useDeed(act, onClose);
  return (
    <Dialog
      title={title} onClose={onClose}
      actions={(
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="button" class="danger" disabled={busy || (type !== undefined && typed !== type)} onClick={run}>
            {busy && <span class="spinner" aria-hidden="true" />} {verb}
          </button>
        </>
      )}
    >
      {children}
      {type !== undefined && (
        <label class="field">
          <span>Type <strong>{type}</strong> to go on</span>
          <input value={typed} onInput={(e) => setTyped(e.currentTarget.value)} autocomplete="off" spellcheck={false} />
        </label>
      )}
      <Wrong>{wrong}</Wrong>
    </Dialog>
  );
}
