// A version of the configuration that goes unless somebody confirms it. Whoever locked themselves out by it does not see
// this; all others do, on every screen.
import { useState } from "preact/hooks";
import { based, change, said } from "./api";
import type { ConfigVersion } from "./api";
import { duration } from "./format";
import { now, useFeed, useTick } from "./live";
import { may, who, whyNot } from "./session";
import { Confirm } from "./ui/dialog";
import { Icon } from "./ui/icons";
import { toast } from "./ui/toast";

/** Pending is asked of those only who may see the configuration. */
export function Pending() {
  return may("operator") ? <Newest /> : null;
}

function Newest() {
  const v = useFeed("/config/versions", { limit: "1" }).data?.versions[0];
  return v?.state === "waiting" ? <Countdown version={v} /> : null;
}

function Countdown({ version: v }: { version: ConfigVersion }) {
  useTick();
  const [busy, setBusy] = useState(false);
  const [asked, setAsked] = useState(false);
  const left = Math.max(0, Date.parse(v.confirm_by ?? v.time) - now());
  const confirm = async () => {
    setBusy(true);
    try {
      await change("POST /config/versions/{n}/confirm", { by: who() }, { n: v.version });
      toast(`Version ${v.version} stays`);
    } catch (err) {
      toast(said(err), "bad");
    }
    setBusy(false);
  };
  return (
    <section class="alarm pending" aria-label="A configuration that waits to be confirmed">
      <Icon name="warn" />
      <div class="pending-text">
        <p><b>Version {v.version} of the configuration waits to be confirmed.</b> It is reverted everywhere in <b class="countdown" role="timer">{duration(left)}</b>.</p>
        <p class="pending-why">{v.author}{v.comment && <>: {v.comment}</>}</p>
        <progress max={v.confirm_s ?? 60} value={left / 1000} aria-label="Time that is left to confirm" />
      </div>
      <div class="pending-tools" title={whyNot("admin")}>
        <button type="button" class="primary" disabled={busy || !may("admin")} onClick={confirm}>Confirm</button>
        <button type="button" disabled={busy || !may("admin")} onClick={() => setAsked(true)}>Revert now…</button>
        <a class="button" href={`/config/changes?to=${v.version}`}>What it changes</a>
      </div>
      {asked && (
        <Confirm title={`Revert version ${v.version}?`} verb="Revert now" onClose={() => setAsked(false)} act={() => revert(v)}>
          <p>Version {v.parent} is in force again on every peer, at once.</p>
        </Confirm>
      )}
    </section>
  );
}

async function revert(v: ConfigVersion): Promise<void> {
  await change("POST /config/rollback", { to: v.parent, by: who(), comment: `version ${v.version} was not wanted` }, {}, based(v.version));
  toast(`Version ${v.parent} is in force again`);
}
