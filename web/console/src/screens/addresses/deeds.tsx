// What people do to addresses by hand, and the story of one.
import { useEffect, useState } from "preact/hooks";
import { change, readNamed, Refusal, said, upload } from "../../api";
import type { Address, AddressImport, Subnet } from "../../api";
import { count, plural } from "../../format";
import { setQuery } from "../../route";
import { Confirm, Dialog } from "../../ui/dialog";
import { FormDialog } from "../../ui/form";
import { Icon } from "../../ui/icons";
import { toast } from "../../ui/toast";

interface After {
  onClose: () => void;
  done: () => Promise<void>;
}

/** Story is why an address is as it is. */
export function Story({ address }: { address: string }) {
  const [why, setWhy] = useState<string[]>();
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    let gone = false;
    setWhy(undefined);
    setWrong("");
    readNamed("/ipam/addresses/{address}", { address }).then((w) => gone || setWhy(w.why), (err) => gone || setWrong(said(err)));
    return () => void (gone = true);
  }, [address]);
  if (wrong) return <p class="wrong" role="alert"><Icon name="bad" size={18} /> {wrong}</p>;
  if (!why) return <p class="quiet-text">Asking the node…</p>;
  return <ol class="story">{why.map((w) => <li key={w}>{w}</li>)}</ol>;
}

export function Ask({ onClose }: { onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const [asked, setAsked] = useState("");
  return (
    <Dialog title="Why is an address as it is?" onClose={onClose} wide>
      <form class="ask" onSubmit={(e) => { e.preventDefault(); setAsked(typed.trim()); }}>
        <label class="field"><span>Address</span><input required autocomplete="off" inputMode="decimal" spellcheck={false} placeholder="10.32.0.17" value={typed} onInput={(e) => setTyped(e.currentTarget.value)} /></label>
        <button type="submit" class="primary">Explain</button>
      </form>
      {asked ? <Story address={asked} /> : <p class="quiet-text">Also one that is free: who owns its block and how that came about, who has it, and what can be done about it.</p>}
    </Dialog>
  );
}

const lives: [string, number][] = [["Until it is released", 0], ["1 hour", 3600], ["1 day", 86400], ["30 days", 2592000]];

export function Give({ subnets, done, onClose }: After & { subnets: Subnet[] }) {
  const [subnet, setSubnet] = useState(subnets[0]!.subnet);
  const [owner, setOwner] = useState("");
  const [address, setAddress] = useState("");
  const [life, setLife] = useState(0);
  return (
    <FormDialog
      title="Give an address" verb="Give" onClose={onClose} act={async () => {
        const wanted = address.trim();
        const got = await change("POST /ipam/allocate", { owner: owner.trim(), for_s: life, ...(wanted ? { address: wanted } : { subnet }) });
        toast(`${got.address} belongs to ${got.owner}`);
        await done();
      }}
    >
      <label class="field"><span>Owner</span><input required maxLength={255} autocomplete="off" spellcheck={false} placeholder="printer on floor 2" value={owner} onInput={(e) => setOwner(e.currentTarget.value)} /><span class="hint">Who has one in the subnet already gets the same again.</span></label>
      {subnets.length > 1 && (
        <label class="field"><span>Subnet</span>
          <select value={subnet} disabled={address.trim() !== ""} onChange={(e) => setSubnet(e.currentTarget.value)}>{subnets.map((s) => <option key={s.subnet}>{s.subnet}</option>)}</select>
        </label>
      )}
      <label class="field"><span>This address and no other (claim)</span><input autocomplete="off" spellcheck={false} placeholder="any that is free" value={address} onInput={(e) => setAddress(e.currentTarget.value)} /><span class="hint">For a host that uses it already. Empty: any that is free.</span></label>
      <label class="field"><span>For</span>
        <select value={String(life)} onChange={(e) => setLife(Number(e.currentTarget.value))}>{lives.map(([words, s]) => <option key={s} value={String(s)}>{words}</option>)}</select>
      </label>
    </FormDialog>
  );
}

export function Reserve({ done, onClose }: After) {
  const [address, setAddress] = useState("");
  const [why, setWhy] = useState("");
  return (
    <FormDialog
      title="Reserve an address" verb="Reserve" onClose={onClose} act={async () => {
        const a = address.trim();
        await change("POST /ipam/allocate", { address: a, owner: `reserved ${a}: ${why.trim()}` });
        toast(`${a} is reserved`);
        await done();
      }}
    >
      <p class="quiet-text">Nobody is given it until it is released. Ranges are reserved in the <a href="/config">network configuration</a>.</p>
      <label class="field"><span>Address</span><input required autocomplete="off" spellcheck={false} value={address} onInput={(e) => setAddress(e.currentTarget.value)} /></label>
      <label class="field"><span>Why</span><input required maxLength={200} autocomplete="off" placeholder="the old router, until it is replaced" value={why} onInput={(e) => setWhy(e.currentTarget.value)} /></label>
    </FormDialog>
  );
}

export function Release({ address: a, done, onClose }: After & { address: Address }) {
  return (
    <Confirm
      title={`Release ${a.address}?`} verb="Release" onClose={onClose} act={async () => {
        await change("POST /ipam/release", { address: a.address });
        setQuery({ open: undefined });
        toast(`${a.address} is free`);
        await done();
      }}
    >
      <p>It belongs to <strong>{a.host ?? a.owner}</strong>. Another guest may be given it at once: if its owner goes on using it, both lose connections until one of them asks again.</p>
    </Confirm>
  );
}

/** Import gives all addresses of a file, or none: the node says first what it would do, or what is wrong with which line. */
export function Import({ done, onClose }: { done: () => void; onClose: () => void }) {
  const [file, setFile] = useState<File>();
  const [plan, setPlan] = useState<AddressImport>();
  const [wrong, setWrong] = useState<string[]>([]);
  const [busy, setBusy] = useState(false);
  const send = async (from: File, dry: boolean) => {
    setBusy(true);
    setWrong([]);
    try {
      const got = await upload("POST /ipam/import", from, { dry_run: dry });
      setPlan(got);
      return got;
    } catch (err) {
      setPlan(undefined);
      setWrong(err instanceof Refusal && err.parts.length > 0 ? err.parts.map((p) => (p.location ? `${p.location}: ${p.message}` : p.message ?? "")) : [said(err)]);
    } finally {
      setBusy(false);
    }
  };
  const pick = (chosen: File | undefined) => {
    setFile(chosen);
    setPlan(undefined);
    setWrong([]);
    if (chosen) void send(chosen, true);
  };
  const run = async () => {
    const got = await send(file!, false);
    if (!got) return;
    toast(`${plural(got.given.length, "address was", "addresses were")} given`);
    done();
    onClose();
  };
  return (
    <Dialog
      title="Import addresses" onClose={onClose} wide
      actions={(
        <>
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="button" class="primary" disabled={busy || !plan || plan.given.length === 0} onClick={run}>{busy && <span class="spinner" aria-hidden="true" />} Give {plan ? plural(plan.given.length, "address", "addresses") : "addresses"}</button>
        </>
      )}
    >
      <p class="quiet-text">CSV with the columns <code>address</code> and <code>owner</code>, or a JSON list of objects with both. All addresses are given, or none if anything is wrong; the same file again changes nothing.</p>
      <label class="field"><span>File, CSV or JSON</span><input type="file" accept=".csv,.json,text/csv,application/json" disabled={busy} onChange={(e) => pick(e.currentTarget.files?.[0])} /></label>
      {wrong.length > 0 && <p class="wrong" role="alert"><Icon name="bad" size={18} /> Nothing was imported.</p>}
      {wrong.length > 0 && <ul class="preview">{wrong.map((w) => <li key={w}>{w}</li>)}</ul>}
      {plan && <p role="status">{count(plan.given.length)} to be given, {count(plan.same)} there already, {count(plan.left)} left out.</p>}
      {plan && <ul class="preview">{plan.given.slice(0, 5).map((r) => <li key={r.address}><code>{r.address}</code> {r.owner}, by {r.at}</li>)}{plan.given.length > 5 && <li class="quiet-text">and {count(plan.given.length - 5)} more</li>}</ul>}
    </Dialog>
  );
}
