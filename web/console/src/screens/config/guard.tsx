import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { ConfigVersion } from "../../api";

const least = 30, most = 600, usual = 60; // seconds to confirm in

/** useGuard asks how long others may live with a change unless it is confirmed. said goes into the request. */
export function useGuard(): { said: { confirm_s?: number }; fields: ComponentChildren } {
  const [guarded, setGuarded] = useState(true);
  const [within, setWithin] = useState(usual);
  const fields = (
    <>
      <label class="check"><input type="checkbox" checked={guarded} onChange={(e) => setGuarded(e.currentTarget.checked)} />
        <span>Revert unless confirmed<small>If it cuts you off, nobody can confirm, and every peer goes back by itself.</small></span>
      </label>
      {guarded && (
        <label class="field narrow"><span>Seconds to confirm in, {least} to {most}</span>
          <input type="number" min={least} max={most} required value={within} onInput={(e) => setWithin(Number(e.currentTarget.value))} />
        </label>
      )}
    </>
  );
  return { said: guarded ? { confirm_s: within } : {}, fields };
}

/** Why asks for what stands in the log. */
export function Why({ value, onValue }: { value: string; onValue: (v: string) => void }) {
  return (
    <label class="field"><span>Why</span>
      <input value={value} maxLength={256} placeholder="What the next person should know" autocomplete="off" onInput={(e) => onValue(e.currentTarget.value)} />
    </label>
  );
}

/** inForce says what became of a change. */
export const inForce = (v: ConfigVersion): string => `Version ${v.version} is in force${v.state === "waiting" ? ": confirm it in time" : ""}`;
