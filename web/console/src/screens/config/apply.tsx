import { useState } from "preact/hooks";
import { based, change, Refusal, said } from "../../api";
import { who } from "../../session";
import { Dialog } from "../../ui/dialog";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";
import { inForce, useGuard, Why } from "./guard";

/** Apply asks why, and how long others may live with it unless it is confirmed. */
export function Apply({ text, base, onClose, applied }: { text: string; base: number; onClose: () => void; applied: () => void }) {
  const [comment, setComment] = useState("");
  const guard = useGuard();
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState<{ text: string; parts: string[] }>();
  const submit = async (e: SubmitEvent) => {
    e.preventDefault();
    setBusy(true);
    setWrong(undefined);
    try {
      const v = await change("PUT /config", { text, comment, by: who(), ...guard.said }, {}, based(base));
      toast(inForce(v));
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
        <Why value={comment} onValue={setComment} />
        {guard.fields}
        {wrong && <div class="wrong" role="alert"><Icon name="bad" size={18} /> <div>{wrong.text}{wrong.parts.length > 0 && <ul>{wrong.parts.map((p) => <li key={p}>{p}</li>)}</ul>}</div></div>}
      </form>
    </Dialog>
  );
}
