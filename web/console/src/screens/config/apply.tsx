import { useState } from "preact/hooks";
import { based, change, Refusal, said } from "../../api";
import { who } from "../../session";
import { Dialog } from "../../ui/dialog";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";

const least = 30, most = 600, usual = 60; // seconds to confirm in

/** Apply asks why, and how long others may live with it unless it is confirmed. */
export function Apply({ text, base, onClose, applied }: { text: string; base: number; onClose: () => void; applied: () => void }) {
  const [comment, setComment] = useState("");
  const [guarded, setGuarded] = useState(true);
  const [within, setWithin] = useState(usual);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<{ text: string; parts: string[] }>();
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    setWrong(undefined);
    try {
      const v = await change("PUT /config", { text, comment, by: who(), ...(guarded && { confirm_s: within }) }, {}, based(base));
      toast(guarded ? `Version ${v.version} is in force: confirm it in time` : `Version ${v.version} is in force`);
      applied();
    } catch (err) {
      setWrong({ text: said(err), parts: err instanceof Refusal ? err.parts.map((p) => p.message ?? "") : [] });
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="Apply the configuration" onClose={onClose}
      actions={(
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" form="apply" class="primary" disabled={busy}>{busy && <span class="spinner" aria-hidden="true" />} Apply to all peers</button>
        </>
      )}
    >
      <form id="apply" class="form" onSubmit={submit}>
        <label class="field"><span>Why</span>
          <input value={comment} maxLength={256} placeholder="What the next person should know" autocomplete="off" onInput={(e) => setComment(e.currentTarget.value)} />
        </label>
        <label class="check"><input type="checkbox" checked={guarded} onChange={(e) => setGuarded(e.currentTarget.checked)} />
          <span>Revert unless confirmed<small>If it cuts you off, nobody can confirm, and every peer goes back by itself.</small></span>
        </label>
        {guarded && (
          <label class="field narrow"><span>Seconds to confirm in, {least} to {most}</span>
            <input type="number" min={least} max={most} required value={within} onInput={(e) => setWithin(Number(e.currentTarget.value))} />
          </label>
        )}
        {wrong && <div class="wrong" role="alert"><Icon name="bad" size={18} /> <div>{wrong.text}{wrong.parts.length > 0 && <ul>{wrong.parts.map((p) => <li key={p}>{p}</li>)}</ul>}</div></div>}
      </form>
    </Dialog>
  );
}
